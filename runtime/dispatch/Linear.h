// Linear: one layer on a GPU, ready to run any number of tokens: the weights, and a kernel for each
// M bucket.
#ifndef GPTQC_RUNTIME_DISPATCH_LINEAR_H
#define GPTQC_RUNTIME_DISPATCH_LINEAR_H

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runtime/dispatch/Dispatcher.h"
#include "runtime/dispatch/LayerParts.h"

namespace gptqc {

/// The tensors of one part of a layer.
struct LinearPart {
  QuantizedMatrix facts; ///< all but the codes, as a checkpoint reader makes them
  WordPacking packing = WordPacking::Continuous;
  const void *words = nullptr; ///< qweight [K*bits/32, N] 32-bit, borrowed for the call
  bool onDevice = false;       ///< `words` is a device address, valid in the order of the stream
};

/// Buckets of allBuckets(): index 0 is m = 1, the last has no upper end.
inline constexpr size_t kBucketCount = 15;
/// The bucket of m >= 1.
size_t bucketIndex(int64_t m);

/// Weights and tables never change once made. Thread-safe: runs from several threads at once need
/// streams and workspaces of their own.
class Linear {
public:
  /// Joins the parts, repacks them on the GPU in the order of `stream`, and waits for that. With
  /// `overlaps` runs may start before the kernel in front of them on the stream has ended. With
  /// several experts, `parts` holds those of each expert one behind the other, as many for each;
  /// the plan is every expert's. InvalidArgument when the experts differ (stackExperts), or would
  /// need X in column orders of their own.
  static Result<std::unique_ptr<Linear>> create(std::shared_ptr<Dispatcher> dispatcher,
                                                std::span<const LinearPart> parts,
                                                const LayerPlan &plan, bool batchInvariant,
                                                const Stream &stream, bool overlaps = false,
                                                size_t experts = 1);

  /// The layer that runs, with m1..; fused and cut as the plan says.
  const Descriptor &descriptor() const { return layer.descriptor(); }
  /// [K]: the input feature of the whole layer that each column of X holds; empty: all, in order.
  const std::vector<int32_t> &inputColumns() const { return columns; }
  int64_t deviceBytes() const { return layer.bytes(); }

  /// What Dispatcher::prepare takes for the buckets that touch lo..hi.
  std::vector<Descriptor> kernelsFor(int64_t lo, int64_t hi) const;
  /// Takes up the kernels for lo..hi, made ready in parallel when they are not. InvalidArgument for
  /// a range that is none.
  Status prepare(int64_t lo, int64_t hi);

  /// Bytes of workspace that runs of up to maxM tokens need, of all buckets that were prepared;
  /// NotFound when that of maxM was not. `alignedX` promises X as run likes it.
  Result<int64_t> workspaceBytes(int64_t maxM, bool alignedX) const;

  /// Y[M, outputColumns] = epilogue(X[M,K] W + bias) in stream order. Neither allocates nor waits
  /// when the bucket of m was prepared, so it can be captured into a graph. X that is not aligned
  /// as its kernel needs (base and row stride to 16 bytes suffice always) is copied into the
  /// workspace first. m = 0 does nothing. Errors as LinearKernel::run; NotFound for a bucket that
  /// was not prepared when the dispatcher does not compile in run. `expertOffsets` as
  /// LinearKernel::run takes them; m counts the rows of all experts.
  Status run(CuDevicePtr x, int64_t ldx, int64_t m, CuDevicePtr y, int64_t ldy,
             DeviceSpan workspace, const Stream &stream, CuDevicePtr expertOffsets = 0);

  /// Writes W [N,K], without gaps and without the bias, rounded to `type`, in stream order; what
  /// gradients with respect to X need. Compiles and loads its kernel in the first call.
  Status dequantize(CuDevicePtr dense, DType type, const Stream &stream) const;

  const Device &device() const { return dispatcher->device(); }
  Dispatcher &owner() const { return *dispatcher; }

private:
  Linear(std::shared_ptr<Dispatcher> dispatcher, DeviceLayer layer, std::vector<int32_t> columns,
         bool batchInvariant);
  Descriptor kernelDescriptor(size_t bucket) const;
  Status take(size_t bucket);
  Status stageX(const LinearKernel &kernel, CuDevicePtr &x, int64_t &ldx, int64_t m,
                DeviceSpan workspace, const Stream &stream) const;

  std::shared_ptr<Dispatcher> dispatcher;
  DeviceLayer layer;
  std::vector<int32_t> columns;
  bool batchInvariant = false, overlaps = false;
  /// Set once each; `owners` keeps them.
  std::array<std::atomic<const LinearKernel *>, kBucketCount> slots = {};
  std::mutex mutex;
  std::array<std::shared_ptr<const LinearKernel>, kBucketCount> owners;
};

/// Makes a workspace fit for its first run: zeroes the counters at its start. `bytes` may be any
/// size, 0 too.
Status initializeWorkspace(DeviceSpan workspace, const Stream &stream);

} // namespace gptqc

#endif // GPTQC_RUNTIME_DISPATCH_LINEAR_H
