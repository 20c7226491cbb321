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

template <typename Kernels>
Result<std::shared_ptr<const Kernels>> Dispatcher::support(SingleFlight<Kernels> &loader) {
  return loader.get(std::string(Kernels::kFile), [&]() -> Result<Kernels> {
    GPTQC_ASSIGN(const KernelImage image, kernels.support(Kernels::kFile, Kernels::kEntry,
                                                          gpu.target(), gpu.info().driverVersion));
    return Kernels::load(gpu, image);
  });
}

Result<std::shared_ptr<const RepackKernels>> Dispatcher::repack() { return support(repackers); }

Result<std::shared_ptr<const DequantizeKernel>> Dispatcher::dequantizer() {
  return support(dequantizers);
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
