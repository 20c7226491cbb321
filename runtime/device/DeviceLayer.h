// DeviceLayer: one layer's packed weights on the GPU, either packed on the host and copied, or
// copied as the checkpoint has them and repacked by the GPU. Both give the same bytes.
#ifndef GPTQC_RUNTIME_DEVICE_DEVICELAYER_H
#define GPTQC_RUNTIME_DEVICE_DEVICELAYER_H

#include <cstdint>
#include <functional>
#include <span>

#include "runtime/core/LinearArgs.h"
#include "runtime/core/WeightLayout.h"
#include "runtime/device/DeviceBuffer.h"
#include "runtime/device/Module.h"

namespace gptqc {

/// The kernels of templates/support/repack.cu, loaded on one device.
struct RepackKernels {
  Function weights, scales;
  static constexpr std::string_view kFile = "support/repack.cu";
  static constexpr std::string_view kEntry = "repack_weights"; ///< one of the file's entries

  /// From the compiled file, whichever of its entries the image names.
  static Result<RepackKernels> load(const Device &device, const KernelImage &image);
};

/// How the words of a checkpoint's qweight hold the codes.
enum class WordPacking { Continuous, Planar };

/// A plain layer's codes on the device, as the repack kernel reads them.
struct RepackSource {
  enum Kind { Codes = 0, Continuous = 1, Planar = 2 };
  CuDevicePtr address = 0; ///< codes [K',N] uint8, or words [K'*bits/32, N] uint32
  Kind kind = Codes;
  /// [K]: row of the source for each column of the layer, so that a slice or a reordered layer
  /// reads from the whole; empty: the layer's own order.
  std::span<const int32_t> columns;
};

/// The codes of an expert (0: of a plain layer), which stay valid until the next call.
using RepackSourceOf = std::function<Result<RepackSource>(int64_t expert)>;

/// Movable; immutable once made, so any number of threads and streams may run it.
class DeviceLayer {
public:
  /// Copies what the host packer made.
  static Result<DeviceLayer> upload(const Device &device, const PackedWeights &packed);

  /// Repacks on the GPU from codes [K,N] (of all experts, one behind the other). Complete when it
  /// returns; the codes' device copy is freed.
  static Result<DeviceLayer> fromCodes(const Device &device, const RepackKernels &kernels,
                                       const QuantizedMatrix &matrix);

  /// The same from the checkpoint's words, [K*bits/32, N] uint32, K and N whole words; `matrix` is
  /// as the reader made it, but its codes may be empty.
  static Result<DeviceLayer> fromWords(const Device &device, const RepackKernels &kernels,
                                       const QuantizedMatrix &matrix,
                                       std::span<const uint32_t> words, WordPacking packing);

  /// The same from memory of the device, in the order of `stream`; waits for it.
  static Result<DeviceLayer> fromDevice(const Device &device, const RepackKernels &kernels,
                                        const QuantizedMatrix &matrix,
                                        const RepackSourceOf &sourceOf, const Stream &stream);

  const Descriptor &descriptor() const { return layerDescriptor; }
  const WeightLayout &layout() const { return layerLayout; }
  /// Device memory that the layer holds, bytes.
  int64_t bytes() const;
  bool isPermuted() const { return perm.address() != 0; }

  /// Writes the addresses of the weights, scales, zeros, tables and bias.
  void fill(LinearArgs &args) const;

  /// Copies everything back, for comparison with the host packer.
  Result<PackedWeights> download() const;

private:
  static Result<DeviceLayer> repack(const Device &device, const RepackKernels &kernels,
                                    const QuantizedMatrix &matrix, const void *source,
                                    int64_t sourceBytes, RepackSource::Kind kind);

  struct Plain;
  Status repackExpert(const RepackKernels &kernels, const QuantizedMatrix &matrix,
                      const Plain &plain, int64_t expert, const RepackSource &source,
                      const Stream &stream);

  Descriptor layerDescriptor;
  WeightLayout layerLayout;
  DeviceBuffer weights, scales, zeros, groupOf, perm, bias;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_DEVICELAYER_H
