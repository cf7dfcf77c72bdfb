"""The loops of a pod's module: states tried in columns, rollouts, and a population that learns.

All is text with the pod's numbers of actions and fields written out, so that the local state of an
episode stays in registers. What is written answers -1 or True where a state was TROUBLE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

FOLLOW, WANDER, GREEDY, CONSTANT, TREES, LINEAR, TABLE = range(7)
"""How `roll` chooses: given actions, given orders, what pays most at once, or by a model."""

Lines = list[str]

_FUNCTIONS = (
    "attempt", "allowed", "find", "values_of", "cell", "shift", "expand", "masks", "roll", "learn",
)  # fmt: skip


def drivers(local: int, outside: Sequence[int], pays: Sequence[int]) -> tuple[str, tuple[str, ...]]:
    """The text of all drivers, and their names in the order of their calls.

    `outside` says for each action how many fields with data its move answers after the local
    ones, `pays` which action's `pay` is its own too.
    """
    pod = _Shape(local, outside, pays)
    text = _TEMPLATE
    for name, value in pod.parts().items():
        text = text.replace(f"<{name}>", value)
    return text, _FUNCTIONS


class _Shape:
    """What differs from pod to pod."""

    def __init__(self, local: int, outside: Sequence[int], pays: Sequence[int]) -> None:
        self._actions, self._local = range(len(pays)), range(local)
        self._outside, self._pays = outside, pays

    def _names(self, letter: str) -> str:
        return ", ".join(f"{letter}{index}" for index in self._local)

    def _moved(self, action: int, letter: str) -> str:
        """The names of a move's answer after its first."""
        names = [f"{letter}{index}" for index in self._local]
        names += [f"o{action}_{index}" for index in range(self._outside[action])]
        return ", ".join(names)

    def _each_local(self, line: str, indent: int) -> str:
        return "\n".join(" " * indent + line.replace("#", str(index)) for index in self._local)

    def _each_action(self, write: Callable[[int], Lines], indent: int) -> str:
        return "\n".join(" " * indent + line for a in self._actions for line in write(a))

    def parts(self) -> dict[str, str]:
        """The text of each part that the template has in angle brackets."""
        return {
            "A": str(len(self._actions)),
            "L": self._names("l"),
            "N": self._names("n"),
            "attempt": self._each_action(self._attempt, 1),
            "allowed": self._each_action(self._allowed, 1),
            "read": self._each_local("l# = local[i, #]", 2),
            "write": self._each_local("following[i, a, #] = n#", 3),
            "sum": self._names("n").replace(", ", " + "),
            "carry": self._each_local("l# = n#", 3),
            "initial": self._each_local("l# = local[start, #]", 1),
            "buffer": self._each_local("buffer[slots[#]] = l#", 2),
            "trail": self._each_local("local[step + 1, #] = l#", 2),
            "cell": self._each_local(
                "s += find(edges, bounds[#], bounds[# + 1], l#) * strides[#]", 1
            ),
            "linear": "\n".join(self._linear(index) for index in self._local),
            "resume": self._each_local("l# = carried[m, #]", 2),
            "begin": self._each_local("l# = initial[#]", 4),
            "random": self._each_local("l# = begin_local[i, #]", 5),
            "keep": self._each_local("carried[m, #] = l#", 2),
            "moves3": self._each_action(self._move, 3),
            "moves4": self._each_action(self._move, 4),
            "all": " and ".join(f"c{a} == 0" for a in self._actions),
            "count": " + ".join(f"c{a}" for a in self._actions),
            "draw": self._each_action(self._draw, 6),
            "best": self._each_action(self._best, 5),
            "choose": self._each_action(self._choose, 4),
            "take": self._each_action(self._take, 5),
            "ahead": self._each_action(self._ahead, 4),
        }

    def _attempt(self, a: int) -> Lines:
        moved, local = self._moved(a, "n"), self._names("l")
        return [
            f"if action == {a}:",
            f" c, {moved} = move_{a}(row, data, {local})",
            f" if c != DONE: return c, -5.0, {local}",
            f" if not np.isfinite({self._sum(a)}): return TROUBLE, 0.0, {local}",
            f" c, r = pay_{self._pays[a]}(action, row, data, fixed, {self._names('l')}, {moved})",
            f" return c, r, {self._names('n')}",
        ]

    def _allowed(self, a: int) -> Lines:
        return [
            f"if action == {a}:",
            f" c, {self._moved(a, 'n')} = move_{a}(row, data, {self._names('l')})",
            f" return TROUBLE if c == DONE and not np.isfinite({self._sum(a)}) else c",
        ]

    def _sum(self, a: int) -> str:
        """What is finite only where all that a move answers is: one test instead of many."""
        return self._moved(a, "n").replace(", ", " + ")

    def _linear(self, index: int) -> str:
        return (
            f"  scaled = (l{index} - centre[{index}]) * inverse[{index}]\n"
            "  if scaled != 0.0:\n"
            f"   for a in range(<A>): out[a] = out[a] + scaled * weights[{index}, a]"
        ).replace("<A>", str(len(self._actions)))

    def _move(self, a: int) -> Lines:
        moved = self._moved(a, f"m{a}_")
        return [
            f"c{a}, {moved} = move_{a}(row, data, {self._names('l')})",
            f"if c{a} == TROUBLE: return True",
        ]

    def _draw(self, a: int) -> Lines:
        return [f"if c{a} == DONE:", f" if k == 0: a = {a}", " k -= 1"]

    def _best(self, a: int) -> Lines:
        return [
            f"q = table[m, s, {a}]",
            f"if (stuck or c{a} == DONE) and q > best: best, a = q, {a}",
        ]

    def _choose(self, a: int) -> Lines:
        """The local state after action a, chosen without a branch, which nobody could foresee."""
        names = ", ".join(f"m{a}_{index}" for index in self._local)
        return [f"if a == {a} and c{a} == DONE: done, {self._names('n')} = True, {names}"]

    def _take(self, a: int) -> Lines:
        """The reward by the code of action a, for all that have it."""
        if self._pays[a] != a:
            return []
        same = [other for other in self._actions if self._pays[other] == a]
        test = "if " + " or ".join(f"a == {other}" for other in same)
        moved = self._moved(a, "n")
        call = f"code, r = pay_{a}(a, row, data, fixed, {self._names('l')}, {moved})"
        if len(same) == len(self._actions):
            test = "if True"
        return [f"{test}:", f" {call}", " if code == TROUBLE: return True"]

    def _ahead(self, a: int) -> Lines:
        return [
            f"q = table[m, s, {a}]",
            f"if (stuck or c{a} == DONE) and q > best: best = q",
        ]


_TEMPLATE = '''
def attempt(action, row, data, fixed, <L>):
<attempt>
 return TROUBLE, 0.0, <L>

def allowed(action, row, data, <L>):
<allowed>
 return TROUBLE

def expand(rows, local, data, fixed, rewards, following, lawful):
 for i in range(len(rows)):
<read>
  for a in range(<A>):
   c, r, <N> = attempt(a, rows[i], data, fixed, <L>)
   if c == TROUBLE: return True
   rewards[i, a] = r
   lawful[i, a] = c == DONE
<write>
 return False

def masks(rows, local, data, lawful):
 for i in range(len(rows)):
<read>
  for a in range(<A>):
   c = allowed(a, rows[i], data, <L>)
   if c == TROUBLE: return True
   lawful[i, a] = c == DONE
 return False

def find(edges, low, high, value):
 """How many edges are below the value: `searchsorted` from the left."""
 found = 0
 for index in range(low, high):
  found += 1 if edges[np.uint64(index)] < value else 0
 return found

def values_of(mode, place, out, buffer, raw, slots, feature, threshold, left, mean, roots, base,
              centre, inverse, weights, columns, edges, bounds, <L>):
 if mode == CONSTANT:
  for a in range(<A>): out[a] = mean[0, a]
 elif mode == LINEAR:
  for a in range(<A>): out[a] = base[place, a]
<linear>
 else:
  for d in range(len(buffer)): buffer[d] = raw[place, d]
<buffer>
  if mode == TREES:
   for a in range(<A>): out[a] = 0.0
   for tree in range(len(roots)):
    node = roots[tree]
    while feature[node] >= 0:
     node = left[node] + (1 if buffer[feature[node]] > threshold[node] else 0)
    for a in range(<A>): out[a] = out[a] + mean[node, a]
  else:
   s = 0
   for index in range(len(columns)):
    low, high = bounds[index], bounds[index + 1]
    s = s * (high - low + 1) + find(edges, low, high, buffer[columns[index]])
   for a in range(<A>): out[a] = mean[s, a]

def roll(mode, start, stop, first, orders, data, fixed, local, actions, rewards, lawful, raw, slots,
         feature, threshold, left, mean, roots, base, centre, inverse, weights, columns, edges,
         bounds):
 """Steps `start` to `stop` of an episode whose states are in `local`; -1 for trouble."""
<initial>
 out, buffer = np.empty(<A>), np.empty(raw.shape[1])
 may = np.empty(<A>, np.bool_)
 for step in range(start, stop):
  row, action = first + step, 0
  if mode == FOLLOW:
   action = orders[step, 0]
  else:
   some = False
   for a in range(<A>):
    c = allowed(a, row, data, <L>)
    if c == TROUBLE: return -1
    may[a] = c == DONE
    some = some or may[a]
   if mode == WANDER:
    action = orders[step, 0]
    for index in range(orders.shape[1]):
     if may[orders[step, index]]:
      action = orders[step, index]
      break
   else:
    if mode == GREEDY:
     for a in range(<A>):
      if may[a] or not some:
       c, r, <N> = attempt(a, row, data, fixed, <L>)
       if c == TROUBLE: return -1
       out[a] = r
    else:
     values_of(mode, step, out, buffer, raw, slots, feature, threshold, left, mean, roots, base,
               centre, inverse, weights, columns, edges, bounds, <L>)
    top, low = -INF, INF
    for a in range(<A>):
     if may[a] or not some:
      if not np.isfinite(out[a]): return -1
      if out[a] > top: top = out[a]
      if out[a] < low: low = out[a]
    least = top
    if mode != GREEDY:
     slack, other = 1e-9 * (top - low), 1e-13 * max(abs(top), abs(low))
     least = top - (other if other > slack else slack)
    for a in range(<A>):
     if (may[a] or not some) and out[a] >= least:
      action = a
      break
  c, r, <N> = attempt(action, row, data, fixed, <L>)
  if c == TROUBLE: return -1
  actions[step] = action
  rewards[step] = r
  lawful[step] = c == DONE
  if c == DONE:
<carry>
<trail>
 return stop

def cell(place, base, edges, bounds, strides, <L>):
 s = base[np.uint64(place)]
<cell>
 return np.uint64(s)

def shift(x):
 """Marsaglia's xorshift of 64 bits."""
 x ^= x << np.uint64(13)
 x ^= x >> np.uint64(7)
 x ^= x << np.uint64(17)
 return x

def learn(table, low, high, steps, seeds, at, carried, least, gammas, chances, share, begin_rows,
          begin_local, first, stop, length, passes, scale, base, edges, bounds, strides, data,
          fixed, initial):
 """Q-learning (Watkins 1989) of the members `low` to `high`, each on its own, for so many steps.

 `table` [M, S, 2 W] has the values of up to W actions, then how often each was learned. A pass is
 an episode from the first row, or by `share` of chance one of `length` steps from one of the states
 `begin`. After `passes` of them a member is done. `at` [M, 3] says at which row it is, where its
 episode ends and how many it has begun, `carried` [M, K] its local state: it goes on from there,
 and how its steps are cut changes nothing.
 """
 half, bits = np.uint64(32), np.uint64(0xFFFFFFFF)
 one, width = np.float32(1.0), np.uint64(table.shape[2] // 2)
 for member in range(low, high):
  m = np.uint64(member)
  x, gamma, chance = seeds[m], gammas[m], chances[m]
  row, end, begun, left = at[m, 0], at[m, 1], at[m, 2], steps
<resume>
  while left > 0:
   if row >= end:
    if begun >= passes: break
    begun, row, end = begun + 1, first, stop
<begin>
    x = shift(x)
    if (x >> half) < share:
     x = shift(x)
     i = np.int64(((x >> half) * np.uint64(len(begin_rows))) >> half)
     row = begin_rows[i]
     end = min(row + length, stop)
<random>
   s = cell(row - first, base, edges, bounds, strides, <L>)
<moves3>
   stuck = <all>
   until = min(end, row + left)
   left -= until - row
   while row < until:
    x = shift(x)
    a = 0
    if (x & bits) < chance:
     if stuck:
      a = np.int64(((x >> half) * np.uint64(<A>)) >> half)
     else:
      k = np.int64(((x >> half) * np.uint64(<count>)) >> half)
<draw>
    else:
     best = np.float32(-INF)
<best>
    done, r, <N> = False, -5.0, <L>
<choose>
    if done:
     if not np.isfinite(<sum>): return True
<take>
    <L>, = <N>,
    before = s
    row += 1
    s = cell(row - first, base, edges, bounds, strides, <L>)
<moves4>
    stuck = <all>
    best = np.float32(-INF)
<ahead>
    seen = table[m, before, width + np.uint64(a)] + one
    rate = max(least[m], one / seen)
    value = table[m, before, np.uint64(a)]
    table[m, before, np.uint64(a)] = value + rate * (np.float32(r * scale) + gamma * best - value)
    table[m, before, width + np.uint64(a)] = seen
  seeds[m] = x
  at[m, 0], at[m, 1], at[m, 2] = row, end, begun
<keep>
 return False
'''
