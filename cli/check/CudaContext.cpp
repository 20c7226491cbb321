// Opening the GPU, and compiling kernels for it.
#include "cli/check/CudaContext.h"

#include <algorithm>

#include "compiler/schedule/CostModel.h"
#include "compiler/schedule/ScheduleSpace.h"
#include "runtime/core/Parallel.h"
#include "runtime/cpu/Compare.h"

namespace gptqc::cli {

Result<std::optional<Schedule>> chooseSchedule(const Descriptor &descriptor, const Target &target,
                                               const KernelChoice &choice) {
  if (choice.schedule || !choice.family)
    return choice.schedule;
  std::optional<Schedule> best;
  double bestCycles = 0;
  for (const Schedule &schedule : ScheduleSpace::enumerate(descriptor, target)) {
    if (schedule.family != *choice.family)
      continue;
    const double cycles = CostModel::cycles(descriptor, target, schedule);
    if (!best || cycles < bestCycles) {
      best = schedule;
      bestCycles = cycles;
    }
  }
  if (!best)
    return makeError(Code::Unsupported,
                     "`{}` on {}: the family {} has no schedule; use --family auto",
                     descriptor.print(), target.print(), familyName(*choice.family));
  return best;
}

Result<std::unique_ptr<CudaContext>> CudaContext::create(const RunnerOptions &options) {
  GPTQC_ASSIGN(Device device, Device::open());
  GPTQC_ASSIGN(Stream stream, Stream::create(device));
  std::unique_ptr<CudaContext> context(new CudaContext(device, std::move(stream)));
  context->options = options;
  CompilerOptions compilerOptions;
  compilerOptions.nvrtcPath = options.nvrtcPath;
  compilerOptions.cacheDir = options.cacheDir;
  compilerOptions.useCache = options.useCache;
  compilerOptions.tuned = options.kernels.tuned;
  GPTQC_ASSIGN(context->compiler, Compiler::create(compilerOptions));
  GPTQC_ASSIGN(const KernelImage image,
               context->compiler->compileSupport(RepackKernels::kFile, RepackKernels::kEntry,
                                                 device.target()));
  context->compilerText = image.compiler;
  GPTQC_ASSIGN(context->repackKernels, RepackKernels::load(device, image));
  return context;
}

std::string CudaContext::describe() const {
  const DeviceInfo &info = gpu.info();
  return fmt::format("{} ({}), driver for CUDA {}.{}", info.fullName, info.target.print(),
                     info.driverVersion / 1000, info.driverVersion % 1000 / 10);
}

Result<KernelImage> CudaContext::supportImage(std::string_view file,
                                              const std::string &entry) const {
  return compiler->compileSupport(file, entry, gpu.target());
}

Result<Function> CudaContext::supportKernel(std::string_view file, const std::string &entry,
                                            int64_t sharedBytes) const {
  GPTQC_ASSIGN(const KernelImage image, supportImage(file, entry));
  GPTQC_ASSIGN(const Module module, Module::load(gpu, image));
  return module.function(entry, sharedBytes);
}

std::vector<Result<LinearKernel>>
CudaContext::kernels(const std::vector<Descriptor> &descriptors) const {
  return kernels(descriptors, [&](const Descriptor &descriptor) {
    return chooseSchedule(descriptor, gpu.target(), options.kernels);
  });
}

std::vector<Result<LinearKernel>>
CudaContext::untunedKernels(const std::vector<Descriptor> &descriptors) const {
  const auto choose = [&](const Descriptor &descriptor) -> Result<std::optional<Schedule>> {
    GPTQC_ASSIGN(const Schedule schedule, CostModel::choose(descriptor, gpu.target()));
    return std::optional(schedule);
  };
  return kernels(descriptors, choose);
}

std::vector<Result<LinearKernel>> CudaContext::kernels(const std::vector<Descriptor> &descriptors,
                                                       const Choose &choose) const {
  std::vector<Result<LinearKernel>> kernels(
      descriptors.size(), Result<LinearKernel>(makeError(Code::Internal, "kernel not compiled")));
  const auto compile = [&](const Descriptor &descriptor) -> Result<LinearKernel> {
    GPTQC_ASSIGN(const std::optional<Schedule> schedule, choose(descriptor));
    const Result<KernelImage> image = compiler->compileLinear(descriptor, gpu.target(), schedule);
    if (!image)
      return image.status().withContext(fmt::format("compiling `{}`", descriptor.print()));
    return LinearKernel::load(gpu, *image);
  };
  parallelFor(int64_t(descriptors.size()), resolveThreads(options.threads),
              [&](int64_t i, int) { kernels[size_t(i)] = compile(descriptors[size_t(i)]); });
  return kernels;
}

int64_t rowStride(const LinearKernel &kernel) {
  const int64_t vector = std::max<int64_t>(1, kernel.launch().xVector / 2);
  return (kernel.descriptor().k + vector - 1) / vector * vector;
}

std::vector<uint16_t> padRows(const std::vector<uint16_t> &x, int64_t m, int64_t k, int64_t ldx) {
  std::vector<uint16_t> padded(size_t(m * ldx), kPoison);
  for (int64_t row = 0; row < m; ++row)
    std::copy_n(x.begin() + row * k, k, padded.begin() + row * ldx);
  return padded;
}

} // namespace gptqc::cli
