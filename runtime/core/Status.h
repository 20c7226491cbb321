// Errors as values: Status (a code and one line of text) and Result<T>. Every layer above uses
// these; our own code throws nothing.
#ifndef GPTQC_RUNTIME_CORE_STATUS_H
#define GPTQC_RUNTIME_CORE_STATUS_H

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace gptqc {

/// What kind of failure it was; the values are part of the C ABI (see gptqc.h).
enum class Code {
  Ok = 0,
  InvalidArgument = 1, ///< the caller's mistake: a bad descriptor, shape, option
  Unsupported = 2,     ///< valid, but this path does not do it; the message names one that does
  NotFound = 3,        ///< a file, tensor, kernel or library is not there
  CompileFailed = 4,   ///< NVRTC or the lowering refused
  DeviceError = 5,     ///< the CUDA driver reported an error, or there is no GPU
  DataCorrupt = 6,     ///< a file does not hold what its format promises
  IoError = 7,         ///< the operating system refused a read or write
  Internal = 8         ///< our bug
};

/// A stable lower-case name, e.g. "invalid_argument".
std::string_view codeName(Code code);

/// Success, or a code with one line that says what failed, on which file, tensor or descriptor, and
/// what to do about it.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Code code, std::string message) : failureCode(code), text(std::move(message)) {}

  bool ok() const { return failureCode == Code::Ok; }
  explicit operator bool() const { return ok(); }
  Code code() const { return failureCode; }
  const std::string &message() const { return text; }

  /// The same error with `context: ` in front, unless it is there; success stays success.
  Status withContext(std::string_view context) const {
    std::string whole = fmt::format("{}: ", context);
    return ok() || text.starts_with(whole) ? *this : Status(failureCode, std::move(whole) + text);
  }

private:
  Code failureCode = Code::Ok;
  std::string text;
};

template <typename... Args>
Status makeError(Code code, fmt::format_string<Args...> format, Args &&...args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
Status invalidArgument(fmt::format_string<Args...> format, Args &&...args) {
  return Status(Code::InvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args> Status dataCorrupt(fmt::format_string<Args...> format, Args &&...args) {
  return Status(Code::DataCorrupt, fmt::format(format, std::forward<Args>(args)...));
}

/// A value or the Status that explains why there is none.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : storage(std::in_place_index<0>, std::move(value)) {}
  Result(Status error) : storage(std::in_place_index<1>, std::move(error)) {
    assert(!std::get<1>(storage).ok() && "a Result made from a Status needs an error");
  }

  bool ok() const { return storage.index() == 0; }
  explicit operator bool() const { return ok(); }

  T &operator*() & { return std::get<0>(storage); }
  const T &operator*() const & { return std::get<0>(storage); }
  T &&operator*() && { return std::get<0>(std::move(storage)); }
  T *operator->() { return &std::get<0>(storage); }
  const T *operator->() const { return &std::get<0>(storage); }

  /// The error; an ok Status when there is a value.
  Status status() const { return ok() ? Status() : std::get<1>(storage); }

private:
  std::variant<T, Status> storage;
};

/// Returns from the enclosing function when `expr` (a Status) is an error.
#define GPTQC_TRY(expr)                                                                            \
  do {                                                                                             \
    if (::gptqc::Status gptqcStatus = (expr); !gptqcStatus.ok())                                   \
      return gptqcStatus;                                                                          \
  } while (false)

#define GPTQC_CONCAT_INNER(a, b) a##b
#define GPTQC_CONCAT(a, b) GPTQC_CONCAT_INNER(a, b)

/// `GPTQC_ASSIGN(auto x, f());` declares x from a Result, or returns its error.
#define GPTQC_ASSIGN(declaration, expr)                                                            \
  auto GPTQC_CONCAT(gptqcResult, __LINE__) = (expr);                                               \
  if (!GPTQC_CONCAT(gptqcResult, __LINE__).ok())                                                   \
    return GPTQC_CONCAT(gptqcResult, __LINE__).status();                                           \
  declaration = std::move(*GPTQC_CONCAT(gptqcResult, __LINE__))

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_STATUS_H
