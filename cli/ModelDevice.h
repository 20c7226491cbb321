// ModelDevice: models on a GPU, for the commands that run them. A build without the compiler has
// the functions too; they say what is missing.
#ifndef GPTQC_CLI_MODELDEVICE_H
#define GPTQC_CLI_MODELDEVICE_H

#include <memory>
#include <string>

#include "runtime/model/Generate.h"
#include "runtime/model/Perplexity.h"

namespace gptqc::cli {

/// One thread at a time.
class ModelDevice {
public:
  virtual ~ModelDevice() = default;

  /// "NVIDIA H200 (sm_90a h200 sms132), driver for CUDA 13.0".
  virtual std::string describe() const = 0;

  /// Quantized layers run on generated kernels, dense ones on cuBLAS.
  virtual Result<Perplexity> perplexity(const Model &model, const TokenRows &rows, int threads,
                                        const BlockProgress &progress) = 0;

  /// As generate with cpuSequences. All kernels are there before the first token.
  virtual Result<Generated> generate(const Model &model, std::span<const int32_t> prompt,
                                     const GenerateOptions &options, int threads,
                                     const std::function<bool(int32_t token)> &onToken) = 0;
};

/// DeviceError without a usable GPU, Unsupported in a build without the compiler.
Result<std::unique_ptr<ModelDevice>> openModelDevice();

} // namespace gptqc::cli

#endif // GPTQC_CLI_MODELDEVICE_H
