// Opening the GPU, and compiling kernels for it.
#include "cli/check/CudaContext.h"

#include "compiler/schedule/CostModel.h"
#include "compiler/schedule/ScheduleSpace.h"
#include "runtime/cpu/Parallel.h"

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
  compilerOptions.useCache = options.useCache;
  GPTQC_ASSIGN(context->compiler, Compiler::create(compilerOptions));
  GPTQC_ASSIGN(
      const KernelImage image,
      context->compiler->compileSupport(RepackKernels::kFile, "repack_weights", device.target()));
  GPTQC_ASSIGN(context->repackKernels, RepackKernels::load(device, image));
  return context;
}

std::string CudaContext::describe() const {
  const DeviceInfo &info = gpu.info();
  return fmt::format("{} ({}), driver for CUDA {}.{}", info.fullName, info.target.print(),
                     info.driverVersion / 1000, info.driverVersion % 1000 / 10);
}

Result<Function> CudaContext::supportKernel(std::string_view file, const std::string &entry) const {
  GPTQC_ASSIGN(const KernelImage image, compiler->compileSupport(file, entry, gpu.target()));
  GPTQC_ASSIGN(const Module module, Module::load(gpu, image));
  return module.function(entry);
}

Result<std::vector<LinearKernel>>
CudaContext::kernels(const std::vector<Descriptor> &descriptors) const {
  std::vector<Result<KernelImage>> images(
      descriptors.size(), Result<KernelImage>(makeError(Code::Internal, "kernel not compiled")));
  const auto compile = [&](const Descriptor &descriptor) -> Result<KernelImage> {
    GPTQC_ASSIGN(const std::optional<Schedule> schedule,
                 chooseSchedule(descriptor, gpu.target(), options.kernels));
    return compiler->compileLinear(descriptor, gpu.target(), schedule);
  };
  parallelFor(int64_t(descriptors.size()), resolveThreads(options.threads),
              [&](int64_t i, int) { images[size_t(i)] = compile(descriptors[size_t(i)]); });

  std::vector<LinearKernel> loaded;
  for (size_t i = 0; i < images.size(); ++i) {
    if (!images[i])
      return images[i].status().withContext(fmt::format("compiling `{}`", descriptors[i].print()));
    GPTQC_ASSIGN(LinearKernel kernel, LinearKernel::load(gpu, *images[i]));
    loaded.push_back(std::move(kernel));
  }
  return loaded;
}

} // namespace gptqc::cli
