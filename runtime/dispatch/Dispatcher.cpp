// From a descriptor to a loaded kernel.
#include "runtime/dispatch/Dispatcher.h"

#include "runtime/core/Parallel.h"

namespace gptqc {

Dispatcher::Dispatcher(Device device, DispatcherOptions given)
    : gpu(std::move(device)), options(std::move(given)), kernels(options.store) {}

Result<std::shared_ptr<const LinearKernel>> Dispatcher::kernel(const Descriptor &descriptor) {
  return loaded.get(descriptor.canonical().print(), [&]() -> Result<LinearKernel> {
    GPTQC_ASSIGN(const KernelImage image,
                 kernels.linear(descriptor, gpu.target(), gpu.info().driverVersion));
    return LinearKernel::load(gpu, image);
  });
}

Result<std::shared_ptr<const RepackKernels>> Dispatcher::repack() {
  return repackers.get(std::string(RepackKernels::kFile), [&]() -> Result<RepackKernels> {
    GPTQC_ASSIGN(const KernelImage image,
                 kernels.support(RepackKernels::kFile, RepackKernels::kEntry, gpu.target(),
                                 gpu.info().driverVersion));
    return RepackKernels::load(gpu, image);
  });
}

Status Dispatcher::prepare(std::span<const Descriptor> descriptors) {
  std::vector<Status> outcomes(descriptors.size());
  parallelFor(int64_t(descriptors.size()), resolveThreads(options.threads), [&](int64_t i, int) {
    outcomes[size_t(i)] = kernel(descriptors[size_t(i)]).status();
  });
  for (const Status &outcome : outcomes)
    GPTQC_TRY(outcome);
  return Status();
}

} // namespace gptqc
