// LinearKernel: a compiled linear kernel, loaded and ready to run any layer of its descriptor.
#ifndef GPTQC_RUNTIME_DEVICE_LINEARKERNEL_H
#define GPTQC_RUNTIME_DEVICE_LINEARKERNEL_H

#include <cstdint>

#include "runtime/core/KernelImage.h"
#include "runtime/device/DeviceLayer.h"
#include "runtime/device/Module.h"

namespace gptqc {

/// Immutable; copies share the loaded code. Runs from several threads at once are safe on streams
/// of their own with workspaces of their own.
class LinearKernel {
public:
  /// Loads the cubin and checks that its launch facts are possible on the device.
  static Result<LinearKernel> load(const Device &device, const KernelImage &image);

  /// Bytes of workspace that run needs for m tokens; 0 where k is not split and X not permuted.
  int64_t workspaceBytes(int64_t m) const;

  /// Y[M, outputColumns] = epilogue(X[M,K] W + bias), in stream order; nothing is allocated, so it
  /// can be captured into a graph. `x` and `y` are device addresses with row strides in elements.
  /// The workspace was zeroed when it was made and is 16-byte aligned; every run leaves it fit for
  /// the next, of this kernel or another, on one stream at a time. M is run in several launches
  /// where the grid has a limit. m = 0 does nothing. With `overlaps` it may start, and read the
  /// layer, before the kernel in front of it on the stream has ended, where the kernel and the GPU
  /// can; it waits before it touches x, y and the workspace. InvalidArgument for a layer of another
  /// descriptor, m outside the kernel's range, short strides, X or a workspace that is not aligned
  /// as the kernel needs, or a workspace that is too small.
  ///
  /// A grouped layer takes the rows of expert e from expertOffsets[e] to expertOffsets[e + 1],
  /// int32 on the device, ascending in 0..m; other rows of Y are left alone. Offsets that are wrong
  /// give wrong rows, but nothing outside of the m rows of X and Y is touched.
  Status run(const DeviceLayer &layer, CuDevicePtr x, int64_t ldx, int64_t m, CuDevicePtr y,
             int64_t ldy, DeviceSpan workspace, const Stream &stream, bool overlaps = false,
             CuDevicePtr expertOffsets = 0) const;

  const Descriptor &descriptor() const { return kernelDescriptor; }
  const LaunchFacts &launch() const { return facts; }
  const ResourceUsage &resources() const { return usage; }
  const std::string &schedule() const { return scheduleText; }
  const Function &function() const { return kernel; }

private:
  Status checkRun(const DeviceLayer &layer, CuDevicePtr x, int64_t ldx, int64_t m, CuDevicePtr y,
                  int64_t ldy, DeviceSpan workspace) const;
  Status checkOffsets(int64_t m, CuDevicePtr expertOffsets) const;
  /// Token tiles of one launch, at most.
  int64_t launchTiles() const;
  Grid gridFor(int64_t tokens, int64_t tiles) const;
  /// Clusters of a persistent launch whose items `share` blocks each work on.
  int64_t walkersFor(int64_t items, int64_t share) const;
  /// The least that may share a multiprocessor for so many blocks to run at once; 0: never mind.
  int sharingFor(int64_t blocks) const;
  /// Launches the kernel that permutes X, and makes its result the X of the launch.
  Status permuteX(LinearArgs &args, const Stream &stream) const;
  Status mapX(CuTensorMap &map, CuDevicePtr x, int64_t ldx, int64_t tokens,
              const Device &device) const;

  Descriptor kernelDescriptor;
  std::string scheduleText;
  LaunchFacts facts;
  ResourceUsage usage;
  Function kernel, permuter;
  std::vector<int64_t> resident; ///< of a persistent kernel: Function::residentBlocks
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_LINEARKERNEL_H
