// Pack: kernels that were compiled ahead of time, in one safetensors file: the cubins are U8
// tensors, the manifest is JSON in __metadata__. Reading needs neither MLIR nor NVRTC nor a GPU.
#ifndef GPTQC_RUNTIME_PACK_PACK_H
#define GPTQC_RUNTIME_PACK_PACK_H

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "runtime/core/Descriptor.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/SafeTensors.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// One kernel of a pack.
struct PackKernel {
  KernelImage facts;     ///< all but the cubin
  Target target;         ///< of facts.target
  bool ptx = false;      ///< text for the driver's compiler, for GPUs newer than the cubins
  int minimumDriver = 0; ///< CUDA version of the driver that it needs, e.g. 13000
  std::string support;   ///< file of templates/ for a support kernel; empty for linear kernels
  std::string digest;    ///< SHA-256 (hex) of the code
  std::string tensor;    ///< that holds it, followed by zeros up to a multiple of 64 bytes
  int64_t bytes = 0;     ///< of the code

  /// How well the kernel fits a GPU; 0: not at all. Cubins of the very architecture come before
  /// those of an earlier minor version, PTX comes last. Does not know of shared memory.
  int fitness(const Target &gpu) const;
  /// Bytes of shared memory that a block needs.
  int64_t sharedBytes() const;
};

/// Which kernel runs a layer, by tokens; rows are in increasing order and do not overlap.
struct PackTable {
  struct Row {
    MRange m;
    size_t kernel = 0; ///< index into Pack::kernels
  };
  std::string descriptor; ///< canonical, with m1..
  Target target;
  bool ptx = false;
  std::vector<Row> rows;
};

/// Immutable and thread-safe once open; the file stays mapped.
class Pack {
public:
  static constexpr int kFormat = 2;
  static constexpr std::string_view kManifestKey = "gptqc_pack", kDigestKey = "gptqc_pack_sha256";

  /// Reads and checks the manifest; the code is checked when it is asked for. NotFound, IoError, or
  /// DataCorrupt that says what is wrong with the file.
  static Result<std::shared_ptr<const Pack>> open(const std::filesystem::path &path);

  const std::filesystem::path &path() const { return file->path(); }
  const std::vector<PackKernel> &kernels() const { return entries; }
  const std::vector<PackTable> &tables() const { return launchTables; }
  /// Versions, options, records: key and value as text.
  const std::map<std::string, std::string> &provenance() const { return origin; }
  /// SHA-256 (hex) of the manifest, which holds the digests of everything else: names the pack.
  const std::string &digest() const { return manifestDigest; }
  const std::string &manifest() const;

  /// The kernel with its code, whose digest is checked.
  Result<KernelImage> image(size_t kernel) const;

  /// The kernel for a layer whose m range lies in one row of its table, best for the GPU.
  /// Unsupported when the pack has nothing for this GPU or the driver is too old, NotFound when it
  /// lacks the layer; the message names the pack and what it has. `driver` is the CUDA version,
  /// e.g. 13000.
  Result<KernelImage> findLinear(const Descriptor &kernel, const Target &gpu, int driver) const;
  /// The same for a support kernel, by its file.
  Result<KernelImage> findSupport(std::string_view supportFile, const Target &gpu,
                                  int driver) const;

  /// Checks the code of every kernel, the padding too.
  Status verify() const;

private:
  Pack() = default;
  Status readManifest();
  Status readKernels(const nlohmann::json &list);
  Status readTables(const nlohmann::json &list);
  Status checkTensors() const;
  /// Of the kernels that `wanted` accepts, the one that fits best and whose driver is there.
  template <typename Wanted>
  Result<KernelImage> find(std::string_view what, const Target &gpu, int driver,
                           const Wanted &wanted) const;
  std::string architectures() const;

  std::shared_ptr<const SafeTensorsFile> file;
  std::string manifestDigest;
  std::vector<PackKernel> entries;
  std::vector<PackTable> launchTables;
  std::map<std::string, std::vector<size_t>, std::less<>> tablesOf; ///< descriptor -> tables
  std::map<std::string, std::string> origin;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_PACK_PACK_H
