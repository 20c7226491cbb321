// What mutate.py puts into kernels in place of operators, conditions, indices and statements. Each
// function returns the original value unless one of its mutants is active, and leaves constant
// expressions alone: sizes and template arguments are not mutated.
#ifndef GPTQC_TESTS_SIM_MUTATE_MUTANT_H
#define GPTQC_TESTS_SIM_MUTATE_MUTANT_H

#include <type_traits>
#include <utility>

#include "tests/sim/Mutants.h"

// Also where the compiler optimizes little: kernels do nothing else all the time.
#define GPTQC_MUTANT [[gnu::always_inline]] constexpr

namespace gptqc::mutant {

template <typename T> GPTQC_MUTANT T pick(int id, T original, T changed) {
  if (std::is_constant_evaluated())
    return original;
  return sim::mutantActive(id, !(original == changed)) ? changed : original;
}

/// `operand` alone, where it has the type of the result.
template <typename T, typename Operand> GPTQC_MUTANT T alone(int id, T original, Operand operand) {
  if constexpr (std::is_arithmetic_v<T> == std::is_arithmetic_v<Operand> &&
                std::is_convertible_v<Operand, T>)
    return pick<T>(id, original, static_cast<T>(operand));
  else
    return original;
}

#define GPTQC_MUTANT_OPERATOR(name, symbol)                                                        \
  template <typename A, typename B> GPTQC_MUTANT auto name(int id, A a, B b) {                     \
    return alone(id + 1, alone(id, a symbol b, a), b);                                             \
  }
#define GPTQC_MUTANT_ONE_SIDED(name, symbol)                                                       \
  template <typename A, typename B> GPTQC_MUTANT auto name(int id, A a, B b) {                     \
    return alone(id, a symbol b, a);                                                               \
  }
/// id: the right operand is left out; id + 1: the left one.
GPTQC_MUTANT_OPERATOR(add, +)
GPTQC_MUTANT_OPERATOR(multiply, *)
GPTQC_MUTANT_OPERATOR(bit_and, &)
GPTQC_MUTANT_OPERATOR(bit_or, |)
GPTQC_MUTANT_OPERATOR(bit_xor, ^)
GPTQC_MUTANT_ONE_SIDED(subtract, -)
GPTQC_MUTANT_ONE_SIDED(divide, /)
GPTQC_MUTANT_ONE_SIDED(modulo, %)
GPTQC_MUTANT_ONE_SIDED(shift_left, <<)
GPTQC_MUTANT_ONE_SIDED(shift_right, >>)

#define GPTQC_MUTANT_COMPARISON(name, symbol, other)                                               \
  template <typename A, typename B> GPTQC_MUTANT bool name(int id, A a, B b) {                     \
    return pick<bool>(id, a symbol b, a other b);                                                  \
  }
GPTQC_MUTANT_COMPARISON(less, <, <=)
GPTQC_MUTANT_COMPARISON(less_equal, <=, <)
GPTQC_MUTANT_COMPARISON(greater, >, >=)
GPTQC_MUTANT_COMPARISON(greater_equal, >=, >)
GPTQC_MUTANT_COMPARISON(equal, ==, !=)
GPTQC_MUTANT_COMPARISON(not_equal, !=, ==)

/// A condition: id makes it true, id + 1 false.
template <typename T> GPTQC_MUTANT bool condition(int id, T value) {
  return pick<bool>(id + 1, pick<bool>(id, static_cast<bool>(value), true), false);
}
/// The condition of a loop is only made false: true would not end.
template <typename T> GPTQC_MUTANT bool loop(int id, T value) {
  return pick<bool>(id, static_cast<bool>(value), false);
}
/// An operand of && or ||, left out: it becomes what decides nothing.
template <typename T> GPTQC_MUTANT bool neutral(int id, T value, bool outcome) {
  return pick<bool>(id, static_cast<bool>(value), outcome);
}
/// An index: the neighbour below, of 0 the one above.
template <typename T> GPTQC_MUTANT T index(int id, T value) {
  return pick<T>(id, value, static_cast<T>(value == 0 ? 1 : value - 1));
}
/// An integer argument of a function in ptx/: its lowest bit flipped.
template <typename T> GPTQC_MUTANT decltype(auto) argument(int id, T &&value) {
  using Plain = std::remove_cvref_t<T>;
  if constexpr (std::is_same_v<Plain, bool>)
    return pick<Plain>(id, value, !value);
  else if constexpr (std::is_integral_v<Plain>)
    return pick<Plain>(id, value, static_cast<Plain>(value ^ 1));
  else
    return std::forward<T>(value);
}
/// False when the statement is left out.
GPTQC_MUTANT bool keep(int id) {
  return std::is_constant_evaluated() || !sim::mutantActive(id, true);
}
/// True when a wait lets one group more stay in flight.
GPTQC_MUTANT bool laxer(int id) {
  return !std::is_constant_evaluated() && sim::mutantActive(id, true);
}

} // namespace gptqc::mutant

#endif // GPTQC_TESTS_SIM_MUTATE_MUTANT_H
