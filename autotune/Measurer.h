// Measurer: what the tuner asks of a GPU. The CUDA one is in cli/bench; tests bring their own.
#ifndef GPTQC_AUTOTUNE_MEASURER_H
#define GPTQC_AUTOTUNE_MEASURER_H

#include "runtime/core/Descriptor.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// One point at a time; used from one thread.
class Measurer {
public:
  virtual ~Measurer() = default;

  /// The GPU that is measured, with name and SM count.
  virtual const Target &target() const = 0;
  /// How it measures, one word for the records, e.g. "cold" for weights that are not in the cache.
  virtual std::string_view method() const = 0;

  /// Takes a point in place of the one before: makes the layer, the inputs and the reference.
  virtual Status open(const Descriptor &point) = 0;
  /// Loads a kernel for the point, runs it and compares its output with the reference. Its index
  /// for sample: 0, 1, ... Unsupported when the device has not the resources for it; Internal when
  /// the result is wrong.
  virtual Result<int> add(const KernelImage &image) = 0;
  /// Microseconds of one launch, the mean of a short run.
  virtual Result<double> sample(int kernel) = 0;
};

} // namespace gptqc

#endif // GPTQC_AUTOTUNE_MEASURER_H
