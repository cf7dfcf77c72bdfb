// Q-learning in the sample pod trader, in plain C: what the pod's generated kernel is measured by.
//
// The same algorithm on the same numbers: usd and coins carried from step to step, the laws
// usd >= 0 and coins >= 0 as masks, four actions, rewards with fees, cells from the row and two
// binned balances, xorshift for chance. Built with -ffp-contract=off it gives the same bits.
#include <math.h>
#include <stdint.h>

enum { ACTIONS = 4 };

// hold, buy, large_buy, sell: coins they bring, and what they cost in units of the price.
static const double COINS[ACTIONS] = {0.0, 1.0, 3.0, -2.0};
static const double COST[ACTIONS] = {0.0, 1.001, 3.003, -1.998};

typedef struct {
  const int64_t *base;
  const double *edges;
  const int64_t *bounds;
  const int64_t *strides;
  int64_t first;
} Cells;

static inline uint64_t shift(uint64_t x) {
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

static inline int64_t cell_of(const Cells *c, int64_t row, double coins, double usd) {
  int64_t a = 0, b = 0;
  for (int64_t i = c->bounds[0]; i < c->bounds[1]; i++) a += c->edges[i] < coins;
  for (int64_t i = c->bounds[1]; i < c->bounds[2]; i++) b += c->edges[i] < usd;
  return c->base[row - c->first] + a * c->strides[0] + b * c->strides[1];
}

// Where each action would lead, and whether the laws allow it.
static inline int try_all(double price, double coins, double usd, double *to_coins, double *to_usd,
                          int *may) {
  int some = 0;
  for (int a = 0; a < ACTIONS; a++) {
    to_coins[a] = coins + COINS[a];
    to_usd[a] = usd - COST[a] * price;
    may[a] = to_coins[a] >= 0.0 && to_usd[a] >= 0.0;
    some += may[a];
  }
  return some;
}

// The members of `table` [members, cells, 2 * ACTIONS]: values, then how often each was learned.
void learn(float *restrict table, int64_t members, int64_t cells, uint64_t *words, float least,
           float gamma, const uint64_t *chances, uint64_t share, const int64_t *rows,
           const double *local, int64_t states, int64_t first, int64_t stop, int64_t length,
           int64_t passes, double scale, const int64_t *base, const double *edges,
           const int64_t *bounds, const int64_t *strides, const double *prices, double coins0,
           double usd0) {
  const Cells how = {base, edges, bounds, strides, first};
  for (int64_t m = 0; m < members; m++) {
    float *own = table + m * cells * 2 * ACTIONS;
    uint64_t x = words[m];
    for (int64_t pass = 0; pass < passes; pass++) {
      int64_t row = first, end = stop;
      double coins = coins0, usd = usd0;
      x = shift(x);
      if ((x >> 32) < share) {
        x = shift(x);
        int64_t i = (int64_t)(((x >> 32) * (uint64_t)states) >> 32);
        row = rows[i];
        end = row + length < stop ? row + length : stop;
        coins = local[2 * i];
        usd = local[2 * i + 1];
      }
      double to_coins[ACTIONS], to_usd[ACTIONS];
      int may[ACTIONS];
      float *q = own + cell_of(&how, row, coins, usd) * 2 * ACTIONS;
      int some = try_all(prices[row], coins, usd, to_coins, to_usd, may);
      while (row < end) {
        int a = 0;
        x = shift(x);
        if ((x & 0xFFFFFFFFu) < chances[m]) {
          int64_t k = (int64_t)(((x >> 32) * (uint64_t)(some ? some : ACTIONS)) >> 32);
          if (!some) {
            a = (int)k;
          } else {
            for (int b = 0; b < ACTIONS; b++) {
              if (may[b]) {
                if (k == 0) a = b;
                k--;
              }
            }
          }
        } else {
          float best = -INFINITY;
          for (int b = 0; b < ACTIONS; b++) {
            if ((may[b] || !some) && q[b] > best) {
              best = q[b];
              a = b;
            }
          }
        }
        double reward = -5.0;
        if (may[a]) {
          double before = usd + coins * prices[row];
          coins = to_coins[a];
          usd = to_usd[a];
          reward = usd + coins * prices[row + 1] - before;
        }
        row++;
        float *next = own + cell_of(&how, row, coins, usd) * 2 * ACTIONS;
        some = try_all(prices[row], coins, usd, to_coins, to_usd, may);
        float ahead = -INFINITY;
        for (int b = 0; b < ACTIONS; b++)
          if ((may[b] || !some) && next[b] > ahead) ahead = next[b];
        float seen = q[ACTIONS + a] + 1.0f;
        float rate = 1.0f / seen > least ? 1.0f / seen : least;
        q[a] += rate * ((float)(reward * scale) + gamma * ahead - q[a]);
        q[ACTIONS + a] = seen;
        q = next;
      }
    }
    words[m] = x;
  }
}
