// Dispatcher: the loaded kernels of one GPU. Layers of equal shape share them; a kernel is compiled
// and loaded once, however many layers and threads ask for it.
#ifndef GPTQC_RUNTIME_DISPATCH_DISPATCHER_H
#define GPTQC_RUNTIME_DISPATCH_DISPATCHER_H

#include <memory>
#include <span>
#include <vector>

#include "runtime/core/SingleFlight.h"
#include "runtime/device/DequantizeKernel.h"
#include "runtime/device/LinearKernel.h"
#include "runtime/dispatch/KernelStore.h"

namespace gptqc {

struct DispatcherOptions {
  KernelStoreOptions store;
  bool compileInRun = true; ///< else a run whose kernel was not prepared is an error
  int threads = 0;          ///< that prepare compiles on; 0: one per core
};

/// Thread-safe. Several devices have a dispatcher each.
class Dispatcher {
public:
  Dispatcher(Device device, DispatcherOptions options);

  const Device &device() const { return gpu; }
  const KernelStore &store() const { return kernels; }
  bool compilesInRun() const { return options.compileInRun; }

  /// The kernel for a layer and an m range, loaded.
  Result<std::shared_ptr<const LinearKernel>> kernel(const Descriptor &descriptor);
  /// The kernels that repack weights, loaded.
  Result<std::shared_ptr<const RepackKernels>> repack();
  /// The kernel that gives dense weights, loaded.
  Result<std::shared_ptr<const DequantizeKernel>> dequantizer();

  /// Gets kernels ready in parallel; the first failure is returned, after all have been tried.
  Status prepare(std::span<const Descriptor> descriptors);

private:
  template <typename Kernels>
  Result<std::shared_ptr<const Kernels>> support(SingleFlight<Kernels> &loader);

  Device gpu;
  DispatcherOptions options;
  KernelStore kernels;
  SingleFlight<LinearKernel> loaded;
  SingleFlight<RepackKernels> repackers;
  SingleFlight<DequantizeKernel> dequantizers;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DISPATCH_DISPATCHER_H
