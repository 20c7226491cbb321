// What the binding files share: a Status on its way to Python, arrays that cross by DLPack, and
// callbacks.
#ifndef GPTQC_PYTHON_SRC_SUPPORT_H
#define GPTQC_PYTHON_SRC_SUPPORT_H

#include <exception>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Status.h"

namespace gptqc::python {

namespace nb = nanobind;

/// A Status as a C++ exception; only between a binding and Module.cpp, which turns it into the
/// Python exception of its code.
class Failure : public std::exception {
public:
  explicit Failure(Status status) : failure(std::move(status)) {}
  const char *what() const noexcept override { return failure.message().c_str(); }
  const Status &status() const { return failure; }

private:
  Status failure;
};

inline void check(const Status &status) {
  if (!status.ok())
    throw Failure(status);
}
template <typename T> T take(Result<T> result) {
  check(result.status());
  return std::move(*result);
}

/// Runs `work` without the GIL.
template <typename Work> auto unlocked(const Work &work) {
  const nb::gil_scoped_release released;
  return work();
}

/// Any DLPack tensor or buffer, on any device.
using Array = nb::ndarray<nb::ro>;

enum class Element { F16, BF16, F32, I32, I64, U8, U16, Other };
Element elementOf(const nb::dlpack::dtype &type);
/// "float16 [2, 64] on cpu".
std::string describe(const Array &array);
inline bool isOnHost(const Array &array) { return array.device_type() == nb::device::cpu::value; }

/// The elements of a host array of exactly this type and shape, without gaps. InvalidArgument names
/// the array and says what it is instead.
std::span<const uint8_t> hostBytes(const Array &array, std::string_view name, Element type,
                                   const std::vector<int64_t> &shape);
template <typename T>
std::span<const T> hostSpan(const Array &array, std::string_view name, Element type,
                            const std::vector<int64_t> &shape) {
  const std::span<const uint8_t> bytes = hostBytes(array, name, type, shape);
  return {reinterpret_cast<const T *>(bytes.data()), bytes.size() / sizeof(T)};
}

/// Rows of a matrix on the host in fp32, whatever its type (float16, bfloat16, float32).
struct FloatMatrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;
};
FloatMatrix toFloats(const Array &array, std::string_view name);

/// A numpy array that owns `values`.
template <typename T>
nb::object toNumpy(std::vector<T> values, const std::vector<size_t> &shape,
                   nb::dlpack::dtype type) {
  auto *kept = new std::vector<T>(std::move(values));
  const nb::capsule owner(kept, [](void *p) noexcept { delete static_cast<std::vector<T> *>(p); });
  return nb::cast(nb::ndarray<nb::numpy>(kept->data(), shape.size(), shape.data(), owner, nullptr,
                                         type, nb::device::cpu::value, 0));
}
template <typename T> nb::object toNumpy(std::vector<T> values, const std::vector<size_t> &shape) {
  return toNumpy(std::move(values), shape, nb::dtype<T>());
}
/// Bits of fp16 values.
inline constexpr nb::dlpack::dtype kFloat16 = {uint8_t(nb::dlpack::dtype_code::Float), 16, 1};

/// Ids [rows, length] of any integer type, on the host.
struct IdMatrix {
  int64_t rows = 0, length = 0;
  std::vector<int32_t> ids;
};
IdMatrix toIds(const Array &array, std::string_view name);

/// A Python callable that C++ code calls without holding the GIL. An exception of it ends the call
/// at once on the thread that made the callback, by passing through the C++ code there (which is
/// built for it: all it owns frees itself); one on another thread, or with `deferred`, is kept
/// until finish().
class Callback {
public:
  /// None calls nothing.
  explicit Callback(nb::object function, bool deferred = false)
      : function(std::move(function)), deferred(deferred) {}

  explicit operator bool() const { return !function.is_none(); }

  template <typename... Args> nb::object operator()(Args &&...args) {
    if (function.is_none())
      return nb::none();
    const nb::gil_scoped_acquire locked;
    if (failed)
      return nb::none();
    try {
      if (PyErr_CheckSignals() != 0)
        throw nb::python_error();
      return function(nb::cast(std::forward<Args>(args))...);
    } catch (...) {
      if (!deferred && std::this_thread::get_id() == owner)
        throw;
      failed = std::current_exception();
      return nb::none();
    }
  }
  /// With the GIL: raises what was kept.
  void finish() {
    if (failed)
      std::rethrow_exception(std::exchange(failed, nullptr));
  }

private:
  nb::object function;
  bool deferred = false;
  std::thread::id owner = std::this_thread::get_id();
  std::exception_ptr failed;
};

/// "float16" or "bfloat16"; InvalidArgument for another name.
DType dtypeFrom(const std::string &name);
std::string_view torchName(DType type);

} // namespace gptqc::python

#endif // GPTQC_PYTHON_SRC_SUPPORT_H
