// Whole models: GPTQ on calibration rows, or rounding to nearest.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/Bindings.h"
#include "python/src/Context.h"
#include "python/src/Options.h"
#include "runtime/checkpoint/QuantizeModel.h"
#include "runtime/core/Version.h"
#include "runtime/solver/quantize/GptqModel.h"
#include "runtime/solver/quantize/cuda/CudaCalibration.h"

namespace gptqc::python {
namespace {

std::string writerName() { return fmt::format("gptqc:{}", versionNumber()); }

std::optional<FileFormat> formatFrom(const std::string &name) {
  if (name.empty())
    return std::nullopt;
  const std::optional<FileFormat> format = fileFormatFrom(name);
  if (!format)
    throw Failure(invalidArgument("'{}' is no format; use gptq, gptq_v2 or gptq_p", name));
  return format;
}

/// What says how the files are written; common to both methods.
struct Output {
  std::string model, folder, format;
  bool force = false;
  int threads = 0;
};

Output outputFrom(const nb::dict &given) {
  return {nb::cast<std::string>(given["model"]), nb::cast<std::string>(given["output"]),
          nb::cast<std::string>(given["format"]), nb::cast<bool>(given["force"]),
          nb::cast<int>(given["threads"])};
}

nb::dict reportOf(int64_t layers, int64_t weights, int64_t shortGroups, uint64_t bytes) {
  nb::dict report;
  report["layers"] = layers;
  report["weights"] = weights;
  report["short_groups"] = shortGroups;
  report["tensor_bytes"] = bytes;
  return report;
}

nb::dict roundToNearest(const nb::dict &given, const nb::dict &options, nb::object progress) {
  const Output output = outputFrom(given);
  const SolverOptions solver = solverOptionsFrom(options);
  QuantizeOptions quantize;
  quantize.bits = solver.bits;
  quantize.groupSize = solver.groupSize;
  quantize.sym = solver.sym;
  quantize.actOrder = solver.actOrder;
  quantize.format = formatFrom(output.format);
  quantize.force = output.force;
  quantize.threads = unsigned(output.threads);
  quantize.writer = writerName();
  Callback callback(std::move(progress), true); // several threads report
  Result<QuantizeReport> report = unlocked([&] {
    return quantizeModel(
        output.model, output.folder, quantize,
        [&](int64_t done, int64_t total, const std::string &name) { callback(done, total, name); });
  });
  callback.finish();
  const QuantizeReport r = take(std::move(report));
  return reportOf(r.layers, r.weights, r.shortGroups, r.tensorBytes);
}

nb::dict recordOf(const LayerRecord &record) {
  nb::dict facts;
  facts["loss"] = record.loss;
  facts["damp"] = record.damp;
  facts["error_before"] = record.errorBefore;
  facts["error_after"] = record.errorAfter;
  facts["seconds"] = record.seconds;
  facts["recovery"] = record.recovery;
  return facts;
}

GptqModelOptions gptqOptionsFrom(const nb::dict &given, const nb::dict &options,
                                 const Output &output) {
  GptqModelOptions gptq;
  gptq.solver = solverOptionsFrom(options);
  gptq.format = formatFrom(output.format);
  gptq.force = output.force;
  gptq.writer = writerName();
  gptq.trueSequential = nb::cast<bool>(given["true_sequential"]);
  gptq.lmHead = nb::cast<bool>(given["lm_head"]);
  gptq.resume = nb::cast<bool>(given["resume"]);
  const auto dynamic = nb::cast<std::string>(given["dynamic"]);
  if (!dynamic.empty())
    gptq.dynamic = nlohmann::ordered_json::parse(dynamic, nullptr, false);
  return gptq;
}

nb::dict gptq(const nb::dict &given, const nb::dict &options, const Array &calibration,
              const std::shared_ptr<Context> &context, nb::object progress) {
  const Output output = outputFrom(given);
  GptqModelOptions settings = gptqOptionsFrom(given, options, output);
  IdMatrix ids = toIds(calibration, "calibration");
  const TokenRows rows{ids.rows, ids.length, std::move(ids.ids)};
  Callback callback(std::move(progress));
  const auto work = [&]() -> Result<GptqModelReport> {
    GPTQC_TRY(validate(settings.solver));
    CpuContext cpu = CpuContext::create(output.threads);
    cpu.blas = Blas::builtin(output.threads);
    if (context) {
      GPTQC_ASSIGN(CudaSolver *const solver, context->solver());
      const Device &device = context->device();
      GPTQC_ASSIGN(const KernelImage image, context->dispatcher()->store().support(
                                                ModelKernels::kFile, ModelKernels::kEntry,
                                                device.target(), device.info().driverVersion));
      settings.calibration = cudaCalibration(*solver, device, image);
    }
    return quantizeWithGptq(
        output.model, output.folder, rows, settings, cpu,
        [&](int64_t done, int64_t total, const std::string &name, const LayerRecord &record) {
          if (!callback)
            return;
          const nb::gil_scoped_acquire locked;
          callback(done, total, name, recordOf(record));
        });
  };
  const GptqModelReport r = unlocked([&] { return take(work()); });
  nb::dict report = reportOf(r.layers, r.weights, r.shortGroups, r.tensorBytes);
  report["resumed"] = r.resumed;
  report["tokens"] = r.tokens;
  report["complete"] = r.complete;
  report["idle_rules"] = nb::cast(r.idleRules);
  return report;
}

template <typename T>
bool setOption(const std::string &key, const char *name, nb::handle value, T &option) {
  if (key != name)
    return false;
  option = nb::cast<T>(value);
  return true;
}

} // namespace

SolverOptions solverOptionsFrom(const nb::dict &options) {
  SolverOptions out;
  for (const auto &[name, value] : options) {
    const auto key = nb::cast<std::string>(name);
    bool f32 = false;
    const bool known =
        setOption(key, "bits", value, out.bits) ||
        setOption(key, "group_size", value, out.groupSize) ||
        setOption(key, "sym", value, out.sym) || setOption(key, "act_order", value, out.actOrder) ||
        setOption(key, "static_groups", value, out.staticGroups) ||
        setOption(key, "act_group_aware", value, out.actGroupAware) ||
        setOption(key, "group_refresh", value, out.groupRefresh) ||
        setOption(key, "mse", value, out.mse) ||
        setOption(key, "zero_from_one", value, out.zeroFromOne) ||
        setOption(key, "damp", value, out.damp) || setOption(key, "f32_scales", value, f32);
    if (!known)
      throw Failure(invalidArgument("'{}' is no option of the solver", key));
    if (f32)
      out.scales = ScaleMode::F32;
  }
  return out;
}

void bindQuantize(nb::module_ &module) {
  module.def("round_to_nearest", roundToNearest, nb::arg("output"), nb::arg("options"),
             nb::arg("progress").none());
  module.def("gptq", gptq, nb::arg("output"), nb::arg("options"), nb::arg("calibration"),
             nb::arg("context").none(), nb::arg("progress").none());
}

} // namespace gptqc::python
