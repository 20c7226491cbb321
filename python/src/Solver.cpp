// GPTQ on one layer, and its result in the words of a checkpoint.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include "python/src/Bindings.h"
#include "python/src/Context.h"
#include "python/src/Options.h"
#include "runtime/checkpoint/GptqWords.h"
#include "runtime/checkpoint/QuantConfig.h"
#include "runtime/core/Float16.h"
#include "runtime/solver/Solve.h"

namespace gptqc::python {
namespace {

/// H as a numpy array [K,K] of float32.
Hessian hessianOf(const Array &array, int64_t k) {
  FloatMatrix h = toFloats(array, "hessian");
  if (h.rows != k || h.columns != k)
    throw Failure(
        invalidArgument("hessian is {}; the layer needs [{}, {}]", describe(array), k, k));
  return {k, 0, std::move(h.values)};
}

struct Solved {
  LayerSolution solution;
  SolverOptions options;
};

Solved solve(const Array &weight, const Array &hessian, const nb::dict &options,
             const std::shared_ptr<Context> &context, int threads) {
  const FloatMatrix w = toFloats(weight, "weight");
  const Hessian h = hessianOf(hessian, w.columns);
  const SolverOptions solver = solverOptionsFrom(options);
  const auto work = [&]() -> Result<Solved> {
    GPTQC_TRY(validate(solver));
    GPTQC_TRY(validate(h));
    if (!context) {
      GPTQC_ASSIGN(LayerSolution solution, solveLayer(w.values, w.rows, w.columns, h, solver,
                                                      Blas::builtin(threads), threads));
      return Solved{std::move(solution), solver};
    }
    GPTQC_ASSIGN(CudaSolver *const cuda, context->solver());
    GPTQC_ASSIGN(const CudaFactor factor, cuda->factor(h, solver));
    GPTQC_ASSIGN(LayerSolution solution, cuda->solve(w.values, w.rows, w.columns, factor, solver));
    return Solved{std::move(solution), solver};
  };
  return unlocked([&] { return take(work()); });
}

/// qweight, qzeros, scales and g_idx as a file of `format` has them.
nb::dict tensorsOf(const Solved &solved, const std::string &formatName) {
  const std::optional<FileFormat> format = fileFormatFrom(formatName);
  if (!format)
    throw Failure(invalidArgument("'{}' is no format; use gptq, gptq_v2 or gptq_p", formatName));
  const LayerSolution &s = solved.solution;
  const int bits = solved.options.bits;
  if (!packsWhole(bits, s.k) || !packsWhole(bits, s.n))
    throw Failure(invalidArgument(
        "a layer of {} x {} does not fill the words of a file; sizes must be multiples of {}", s.n,
        s.k, packUnit(bits)));
  const Packing packing = *format == FileFormat::GptqPlanar ? Packing::Planar : Packing::Continuous;
  const bool minusOne = *format == FileFormat::Gptq;
  if (minusOne && std::find(s.zeros.begin(), s.zeros.end(), 0) != s.zeros.end())
    throw Failure(invalidArgument("format gptq holds no zero point of 0; solve with "
                                  "zero_from_one=True, or use gptq_v2"));
  const std::vector<uint32_t> words = packRows(packing, bits, s.k, s.n, s.codes);
  const std::vector<uint32_t> zeros = packZeros(packing, bits, s.groups, s.n, s.zeros, minusOne);
  std::vector<uint16_t> scales(s.scales.size());
  std::transform(s.scales.begin(), s.scales.end(), scales.begin(), floatToHalf);
  const auto n = size_t(s.n), k = size_t(s.k), groups = size_t(s.groups);
  nb::dict tensors;
  tensors["qweight"] =
      toNumpy(std::vector<int32_t>(words.begin(), words.end()), {words.size() / n, n});
  tensors["qzeros"] =
      toNumpy(std::vector<int32_t>(zeros.begin(), zeros.end()), {groups, zeros.size() / groups});
  tensors["scales"] = toNumpy(std::move(scales), {groups, n}, kFloat16);
  tensors["g_idx"] = toNumpy(std::vector<int32_t>(s.groupIndex), {k});
  return tensors;
}

nb::object dequantized(const Solved &solved) {
  const LayerSolution &s = solved.solution;
  return toNumpy(unlocked([&] { return s.dequantize(); }), {size_t(s.n), size_t(s.k)});
}

} // namespace

void bindSolver(nb::module_ &module) {
  nb::class_<HessianSum>(module, "HessianSum")
      .def(
          "__init__",
          [](HessianSum *self, int64_t k, int threads) {
            if (k < 1 || k > (1 << 20))
              throw Failure(invalidArgument("a Hessian of {} columns; 1 to 2^20 are possible", k));
            new (self) HessianSum(k, Blas::builtin(threads));
          },
          nb::arg("k"), nb::arg("threads"))
      .def(
          "add",
          [](HessianSum &sum, int64_t k, const Array &x) {
            const FloatMatrix rows = toFloats(x, "x");
            if (rows.columns != k)
              throw Failure(invalidArgument("x is {}; the Hessian has {} columns", describe(x), k));
            unlocked([&] { sum.add({rows.values.data(), rows.rows, rows.columns}); });
          },
          nb::arg("k"), nb::arg("x"))
      .def_prop_ro("tokens", &HessianSum::tokens)
      .def("finish", [](const HessianSum &sum) {
        Hessian h = unlocked([&] {
          HessianSum copy = sum;
          return take(copy.finish());
        });
        const auto k = size_t(h.k);
        return toNumpy(std::move(h.values), {k, k});
      });

  nb::class_<Solved>(module, "Solved")
      .def_prop_ro("loss", [](const Solved &s) { return s.solution.loss; })
      .def_prop_ro("error_before", [](const Solved &s) { return s.solution.errorBefore; })
      .def_prop_ro("error_after", [](const Solved &s) { return s.solution.errorAfter; })
      .def_prop_ro("damp", [](const Solved &s) { return s.solution.damp; })
      .def_prop_ro("recovery",
                   [](const Solved &s) { return std::string(recoveryName(s.solution.recovery)); })
      .def("codes",
           [](const Solved &s) {
             return toNumpy(std::vector<uint8_t>(s.solution.codes),
                            {size_t(s.solution.k), size_t(s.solution.n)});
           })
      .def("zeros",
           [](const Solved &s) {
             return toNumpy(std::vector<uint8_t>(s.solution.zeros),
                            {size_t(s.solution.groups), size_t(s.solution.n)});
           })
      .def("scales",
           [](const Solved &s) {
             return toNumpy(std::vector<float>(s.solution.scales),
                            {size_t(s.solution.groups), size_t(s.solution.n)});
           })
      .def("g_idx",
           [](const Solved &s) {
             return toNumpy(std::vector<int32_t>(s.solution.groupIndex), {size_t(s.solution.k)});
           })
      .def("dequantize", dequantized)
      .def("tensors", tensorsOf, nb::arg("format"));
  module.def("solve", solve, nb::arg("weight"), nb::arg("hessian"), nb::arg("options"),
             nb::arg("context").none(), nb::arg("threads"));
}

} // namespace gptqc::python
