// Layers that run: on the CPU by the executor, on a GPU by compiled kernels, behind one class.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/Bindings.h"
#include "python/src/Context.h"
#include "python/src/Part.h"
#include "runtime/core/Float16.h"
#include "runtime/cpu/Dequantize.h"
#include "runtime/cpu/Executor.h"

namespace gptqc::python {
namespace {

/// X or Y of a run: addresses and strides in elements.
struct Matrix16 {
  uint64_t address = 0;
  int64_t stride = 0;
};

class RunningLayer {
public:
  virtual ~RunningLayer() = default;
  virtual const Descriptor &descriptor() const = 0;
  /// -1: the CPU.
  virtual int device() const = 0;
  /// Memory of the weights.
  virtual int64_t bytes() const = 0;
  /// `order` is a stream on a GPU, a number of threads on the CPU (0: all).
  virtual Status run(Matrix16 x, int64_t m, Matrix16 y, uint64_t order) = 0;
  /// W [N,K] without gaps, rounded to `type`.
  virtual Status dequantize(uint64_t dense, DType type, uint64_t order) = 0;
  virtual Status prepare(int64_t lo, int64_t hi) = 0;
};

class CpuLayer final : public RunningLayer {
public:
  static Result<std::shared_ptr<RunningLayer>> create(std::span<const Part *const> parts,
                                                      const LayerPlan &plan) {
    GPTQC_ASSIGN(const QuantizedMatrix matrix, joinOnHost(parts, plan));
    auto layer = std::make_shared<CpuLayer>();
    layer->packed = packWeights(matrix);
    GPTQC_ASSIGN(layer->executor, Executor::create(layer->packed));
    return std::shared_ptr<RunningLayer>(std::move(layer));
  }

  const Descriptor &descriptor() const override { return packed.descriptor; }
  int device() const override { return -1; }
  int64_t bytes() const override {
    return int64_t(packed.weights.size() + packed.scales.size() * 2 + packed.zeros.size());
  }
  Status run(Matrix16 x, int64_t m, Matrix16 y, uint64_t order) override {
    return executor->run(reinterpret_cast<const uint16_t *>(x.address), x.stride, m,
                         reinterpret_cast<uint16_t *>(y.address), y.stride, int(order));
  }
  Status dequantize(uint64_t dense, DType type, uint64_t) override {
    const Matrix weights = gptqc::dequantize(packed);
    auto *out = reinterpret_cast<uint16_t *>(dense);
    for (const float value : weights.values)
      *out++ = fromFloat(value, type);
    return Status();
  }
  Status prepare(int64_t, int64_t) override { return Status(); }

private:
  PackedWeights packed;
  std::optional<Executor> executor; ///< borrows `packed`
};

class CudaLayer final : public RunningLayer {
public:
  static Result<std::shared_ptr<RunningLayer>> create(std::shared_ptr<Context> context,
                                                      std::span<const Part *const> parts,
                                                      const LayerPlan &plan, bool batchInvariant,
                                                      CuStream stream) {
    std::vector<LinearPart> tensors;
    for (const Part *part : parts)
      tensors.push_back(part->linearPart());
    const Stream order = Stream::borrow(context->device(), stream);
    auto layer = std::make_shared<CudaLayer>();
    GPTQC_ASSIGN(layer->linear,
                 Linear::create(context->dispatcher(), tensors, plan, batchInvariant, order));
    layer->context = std::move(context);
    return std::shared_ptr<RunningLayer>(std::move(layer));
  }

  const Descriptor &descriptor() const override { return linear->descriptor(); }
  int device() const override { return context->device().info().ordinal; }
  int64_t bytes() const override { return linear->deviceBytes(); }
  Status run(Matrix16 x, int64_t m, Matrix16 y, uint64_t order) override {
    const bool aligned = x.address % 16 == 0 && x.stride % 8 == 0;
    Result<int64_t> bytes = linear->workspaceBytes(m, aligned);
    if (!bytes.ok() && bytes.status().code() == Code::NotFound &&
        context->dispatcher()->compilesInRun()) {
      GPTQC_TRY(linear->prepare(m, m));
      bytes = linear->workspaceBytes(m, aligned);
    }
    GPTQC_TRY(bytes.status());
    const auto stream = reinterpret_cast<CuStream>(order);
    GPTQC_ASSIGN(const DeviceSpan workspace, context->workspace(stream, *bytes));
    return linear->run(x.address, x.stride, m, y.address, y.stride, workspace,
                       Stream::borrow(context->device(), stream));
  }
  Status dequantize(uint64_t dense, DType type, uint64_t order) override {
    return linear->dequantize(dense, type,
                              Stream::borrow(context->device(), reinterpret_cast<CuStream>(order)));
  }
  Status prepare(int64_t lo, int64_t hi) override { return linear->prepare(lo, hi); }

private:
  std::shared_ptr<Context> context;
  std::unique_ptr<Linear> linear;
};

std::shared_ptr<RunningLayer> create(const std::shared_ptr<Context> &context,
                                     const std::vector<const Part *> &parts, bool siluMul,
                                     bool batchInvariant, uint64_t stream) {
  LayerPlan plan;
  plan.siluMul = siluMul;
  return unlocked([&] {
    return take(context ? CudaLayer::create(context, parts, plan, batchInvariant,
                                            reinterpret_cast<CuStream>(stream))
                        : CpuLayer::create(parts, plan));
  });
}

/// Checks what a caller gave for X or Y against the layer. bfloat16 may come as its bits (uint16),
/// for numpy has no such type.
Matrix16 checkMatrix(const RunningLayer &layer, const Array &array, std::string_view name,
                     int64_t columns, DType type) {
  const Element element = elementOf(array.dtype());
  const bool fits = type == DType::F16 ? element == Element::F16
                                       : element == Element::BF16 || element == Element::U16;
  const std::string layerText = layer.descriptor().print();
  if (!fits || array.ndim() != 2 || int64_t(array.shape(1)) != columns)
    throw Failure(invalidArgument("layer '{}': {} is {}; it must be {} [tokens, {}]", layerText,
                                  name, describe(array), torchName(type), columns));
  const bool here = layer.device() < 0 ? isOnHost(array)
                                       : array.device_type() == nb::device::cuda::value &&
                                             array.device_id() == layer.device();
  if (!here)
    throw Failure(invalidArgument(
        "layer '{}': {} is {}, the layer is on {}; move one of them", layerText, name,
        describe(array), layer.device() < 0 ? "cpu" : fmt::format("cuda:{}", layer.device())));
  if (array.shape(0) == 0)
    return {};
  if ((columns > 1 && array.stride(1) != 1) || (array.shape(0) > 1 && array.stride(0) < columns))
    throw Failure(invalidArgument("layer '{}': the rows of {} are not contiguous; make a "
                                  "contiguous copy first",
                                  layerText, name));
  return {reinterpret_cast<uint64_t>(array.data()), array.shape(0) > 1 ? array.stride(0) : columns};
}

void call(RunningLayer &layer, const Array &x, const Array &y, uint64_t order) {
  const Descriptor &d = layer.descriptor();
  const Matrix16 in = checkMatrix(layer, x, "x", d.k, d.act);
  const Matrix16 out = checkMatrix(layer, y, "out", d.outputColumns(), d.out);
  if (x.shape(0) != y.shape(0))
    throw Failure(invalidArgument("layer '{}': x has {} tokens, out has {}", d.print(), x.shape(0),
                                  y.shape(0)));
  const auto m = int64_t(x.shape(0));
  unlocked([&] { check(layer.run(in, m, out, order)); });
}

} // namespace

void bindLinear(nb::module_ &module) {
  nb::class_<RunningLayer>(module, "Layer")
      .def_static("create", create, nb::arg("context").none(), nb::arg("parts"),
                  nb::arg("silu_mul"), nb::arg("batch_invariant"), nb::arg("stream"))
      .def_prop_ro("descriptor", [](const RunningLayer &l) { return l.descriptor().print(); })
      .def_prop_ro("in_features", [](const RunningLayer &l) { return l.descriptor().k; })
      .def_prop_ro("out_features",
                   [](const RunningLayer &l) { return l.descriptor().outputColumns(); })
      .def_prop_ro("weight_rows", [](const RunningLayer &l) { return l.descriptor().n; })
      .def_prop_ro("act",
                   [](const RunningLayer &l) { return std::string(torchName(l.descriptor().act)); })
      .def_prop_ro("out",
                   [](const RunningLayer &l) { return std::string(torchName(l.descriptor().out)); })
      .def_prop_ro("device", &RunningLayer::device)
      .def_prop_ro("bytes", &RunningLayer::bytes)
      .def("call", call, nb::arg("x"), nb::arg("out"), nb::arg("order"))
      .def(
          "run",
          [](RunningLayer &layer, uint64_t x, int64_t ldx, int64_t m, uint64_t y, int64_t ldy,
             uint64_t order) { unlocked([&] { check(layer.run({x, ldx}, m, {y, ldy}, order)); }); },
          nb::arg("x"), nb::arg("ldx"), nb::arg("m"), nb::arg("y"), nb::arg("ldy"),
          nb::arg("order"))
      .def(
          "dequantize",
          [](RunningLayer &layer, uint64_t dense, const std::string &type, uint64_t order) {
            const DType rounded = dtypeFrom(type);
            unlocked([&] { check(layer.dequantize(dense, rounded, order)); });
          },
          nb::arg("dense"), nb::arg("type"), nb::arg("order"))
      .def(
          "prepare",
          [](RunningLayer &layer, int64_t lo, int64_t hi) {
            unlocked([&] { check(layer.prepare(lo, hi)); });
          },
          nb::arg("lo"), nb::arg("hi"));
}

} // namespace gptqc::python
