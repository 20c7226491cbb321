// Checks of arrays; conversions to what the library takes.
#include "python/src/Support.h"

#include <algorithm>

#include "runtime/core/Float16.h"

namespace gptqc::python {
namespace {

constexpr int64_t kLargestId = INT32_MAX;

std::string typeName(const nb::dlpack::dtype &type) {
  using Kind = nb::dlpack::dtype_code;
  std::string_view name = "type";
  switch (Kind(type.code)) {
  case Kind::Int:
    name = "int";
    break;
  case Kind::UInt:
    name = "uint";
    break;
  case Kind::Float:
    name = "float";
    break;
  case Kind::Bfloat:
    name = "bfloat";
    break;
  case Kind::Bool:
    return "bool";
  default:
    break;
  }
  return fmt::format("{}{}", name, int(type.bits));
}

std::string_view elementName(Element type) {
  constexpr std::string_view kNames[] = {"float16", "bfloat16", "float32", "int32",
                                         "int64",   "uint8",    "uint16",  "other"};
  return kNames[size_t(type)];
}

std::string deviceName(const Array &array) {
  if (isOnHost(array))
    return "cpu";
  if (array.device_type() == nb::device::cuda::value)
    return fmt::format("cuda:{}", array.device_id());
  return fmt::format("device {}", array.device_type());
}

bool hasNoGaps(const Array &array) {
  int64_t expected = 1;
  for (size_t i = array.ndim(); i-- > 0;) {
    if (array.shape(i) != 1 && array.stride(i) != expected)
      return false;
    expected *= int64_t(array.shape(i));
  }
  return true;
}

void requireHost(const Array &array, std::string_view name) {
  if (!isOnHost(array))
    throw Failure(invalidArgument("{} is {}; copy it to the host first", name, describe(array)));
}

} // namespace

Element elementOf(const nb::dlpack::dtype &type) {
  using Kind = nb::dlpack::dtype_code;
  struct Entry {
    Kind kind;
    uint8_t bits;
    Element element;
  };
  constexpr Entry kEntries[] = {
      {Kind::Float, 16, Element::F16}, {Kind::Bfloat, 16, Element::BF16},
      {Kind::Float, 32, Element::F32}, {Kind::Int, 32, Element::I32},
      {Kind::Int, 64, Element::I64},   {Kind::UInt, 8, Element::U8},
      {Kind::UInt, 16, Element::U16},
  };
  for (const Entry &entry : kEntries)
    if (type.code == uint8_t(entry.kind) && type.bits == entry.bits && type.lanes == 1)
      return entry.element;
  return Element::Other;
}

std::string describe(const Array &array) {
  std::string shape;
  for (size_t i = 0; i < array.ndim(); ++i)
    shape += fmt::format("{}{}", i == 0 ? "" : ", ", array.shape(i));
  return fmt::format("{} [{}] on {}", typeName(array.dtype()), shape, deviceName(array));
}

std::span<const uint8_t> hostBytes(const Array &array, std::string_view name, Element type,
                                   const std::vector<int64_t> &shape) {
  requireHost(array, name);
  bool fits = elementOf(array.dtype()) == type && array.ndim() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = int64_t(array.shape(i)) == shape[i];
  if (!fits)
    throw Failure(invalidArgument("{} is {}; it must be {} [{}]", name, describe(array),
                                  elementName(type), fmt::join(shape, ", ")));
  if (!hasNoGaps(array))
    throw Failure(invalidArgument("{} is not contiguous; make it so first", name));
  return {static_cast<const uint8_t *>(array.data()), array.nbytes()};
}

FloatMatrix toFloats(const Array &array, std::string_view name) {
  requireHost(array, name);
  const Element type = elementOf(array.dtype());
  if (array.ndim() != 2 || (type != Element::F16 && type != Element::BF16 && type != Element::F32))
    throw Failure(invalidArgument("{} is {}; it must be a matrix of float16, bfloat16 or float32",
                                  name, describe(array)));
  FloatMatrix out{int64_t(array.shape(0)), int64_t(array.shape(1)), {}};
  out.values.resize(size_t(out.rows * out.columns));
  const int64_t rowStride = array.stride(0), stride = array.stride(1);
  for (int64_t row = 0; row < out.rows; ++row) {
    float *to = out.values.data() + row * out.columns;
    for (int64_t column = 0; column < out.columns; ++column) {
      const int64_t at = row * rowStride + column * stride;
      to[column] = type == Element::F32 ? static_cast<const float *>(array.data())[at]
                                        : toFloat(static_cast<const uint16_t *>(array.data())[at],
                                                  type == Element::F16 ? DType::F16 : DType::BF16);
    }
  }
  return out;
}

IdMatrix toIds(const Array &array, std::string_view name) {
  requireHost(array, name);
  const Element type = elementOf(array.dtype());
  const size_t dimensions = array.ndim();
  if (dimensions < 1 || dimensions > 2 || (type != Element::I32 && type != Element::I64) ||
      !hasNoGaps(array))
    throw Failure(invalidArgument(
        "{} is {}; it must be a contiguous int32 or int64 array of token ids [rows, length]", name,
        describe(array)));
  IdMatrix out{
      dimensions == 2 ? int64_t(array.shape(0)) : 1, int64_t(array.shape(dimensions - 1)), {}};
  out.ids.resize(array.size());
  for (size_t i = 0; i < out.ids.size(); ++i) {
    const int64_t id = type == Element::I32 ? static_cast<const int32_t *>(array.data())[i]
                                            : static_cast<const int64_t *>(array.data())[i];
    if (id < 0 || id > kLargestId)
      throw Failure(invalidArgument("{} holds {}, which is no token id", name, id));
    out.ids[i] = int32_t(id);
  }
  return out;
}

DType dtypeFrom(const std::string &name) {
  if (name != "float16" && name != "bfloat16")
    throw Failure(invalidArgument("'{}' is no type of activations; use float16 or bfloat16", name));
  return name == "float16" ? DType::F16 : DType::BF16;
}

std::string_view torchName(DType type) { return type == DType::F16 ? "float16" : "bfloat16"; }

} // namespace gptqc::python
