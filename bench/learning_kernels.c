// Q-learning in 64 lanes in plain C: what the CPU's kernel is measured by.
//
// The same algorithm on the same numbers: one course of states for all members, epsilon-greedy by
// xorshift, the population fastest. ACTIONS is given when it is built. Built with -ffp-contract=off
// it gives the same bits.
#include <stddef.h>
#include <stdint.h>

enum { LANES = 64 };

void walk(float *values, const uint32_t *restrict states, const float *restrict rewards,
          int64_t steps, int64_t passes, uint32_t *restrict words, const float *restrict rates,
          const float *restrict gammas, const uint32_t *restrict chances) {
  for (int64_t pass = 0; pass < passes; pass++, chances += LANES)
    for (int64_t step = 0; step < steps; step++) {
      float *restrict row =
          __builtin_assume_aligned(values + (size_t)states[step] * ACTIONS * LANES, 64);
      const float *next =
          __builtin_assume_aligned(values + (size_t)states[step + 1] * ACTIONS * LANES, 64);
      float paid[ACTIONS];
      for (int a = 0; a < ACTIONS; a++) paid[a] = rewards[step * ACTIONS + a];
      // A lane reads and writes only what is its own, where both rows are one, too.
#pragma GCC ivdep
      for (int lane = 0; lane < LANES; lane++) {
        uint32_t word = words[lane];
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        words[lane] = word;
        float mine[ACTIONS], best, later;
        uint32_t greedy = 0;
        for (int a = 0; a < ACTIONS; a++) mine[a] = row[a * LANES + lane];
        best = mine[0];
        later = next[lane];
        for (int a = 1; a < ACTIONS; a++) {
          float ahead = next[a * LANES + lane];
          greedy = mine[a] > best ? (uint32_t)a : greedy;
          best = mine[a] > best ? mine[a] : best;
          later = ahead > later ? ahead : later;
        }
        uint32_t tried = ((word & 0xffff) * ACTIONS) >> 16;
        uint32_t taken = (word >> 16) < chances[lane] ? tried : greedy;
        float reward = paid[ACTIONS - 1], value = mine[ACTIONS - 1];
        for (int a = ACTIONS - 2; a >= 0; a--) {
          reward = taken == (uint32_t)a ? paid[a] : reward;
          value = taken == (uint32_t)a ? mine[a] : value;
        }
        float move = rates[lane] * (reward + gammas[lane] * later - value);
        for (int a = 0; a < ACTIONS; a++)
          row[a * LANES + lane] = mine[a] + (taken == (uint32_t)a ? move : 0.0f);
      }
    }
}
