// Kernel images that the fake driver loads: right in everything but their code.
#ifndef GPTQC_TESTS_RUNTIME_DISPATCH_FAKEKERNELS_H
#define GPTQC_TESTS_RUNTIME_DISPATCH_FAKEKERNELS_H

#include "runtime/core/Hash.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/WeightLayout.h"
#include "runtime/dispatch/KernelStore.h"

namespace gptqc {

inline KernelImage fakeLinear(const Descriptor &kernel, int splitK = 1, int xVector = 16) {
  KernelImage image;
  image.descriptor = kernel.print();
  image.target = "sm_90a";
  image.schedule = "mma t64x16x128 warps4 stages4";
  image.compiler = "nvrtc 13.0";
  image.buildKey = sha256Hex(image.descriptor);
  image.cubin = {1};
  image.launch.threads = 128;
  image.launch.sharedBytes = 1024;
  image.launch.tileN = 64;
  image.launch.tileM = 16;
  image.launch.splitK = splitK;
  image.launch.xVector = xVector;
  image.launch.paddedN = WeightLayout::uniform(kernel).paddedN;
  image.launch.usesPermutation = true;
  image.launch.experts = kernel.experts;
  return image;
}

inline KernelImage fakeSupport() {
  KernelImage image;
  image.descriptor = "support/repack.cu:repack_weights";
  image.target = "sm_90a";
  image.compiler = "nvrtc 13.0";
  image.buildKey = sha256Hex(image.descriptor);
  image.cubin = {2};
  image.launch.entry = "repack_weights";
  return image;
}

/// Counts in `compiled`.
inline KernelCompiler fakeCompiler(std::atomic<int> &compiled, int splitK = 1, int xVector = 16) {
  KernelCompiler compiler;
  compiler.linear = [&compiled, splitK, xVector](const Descriptor &kernel, const Target &) {
    ++compiled;
    return Result<KernelImage>(fakeLinear(kernel, splitK, xVector));
  };
  compiler.support = [](std::string_view, std::string_view, const Target &) {
    return Result<KernelImage>(fakeSupport());
  };
  return compiler;
}

} // namespace gptqc

#endif // GPTQC_TESTS_RUNTIME_DISPATCH_FAKEKERNELS_H
