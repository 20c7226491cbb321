// PackBuilder: collects compiled kernels and writes them as a pack. The same kernels and provenance
// give the same bytes, in whatever order they were added.
#ifndef GPTQC_RUNTIME_PACK_PACKBUILDER_H
#define GPTQC_RUNTIME_PACK_PACKBUILDER_H

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/pack/Pack.h"

namespace gptqc {

/// One thread at a time.
class PackBuilder {
public:
  /// Adds a linear kernel, as the compiler made it; `ptx`: its cubin is PTX text. Kernels of one
  /// layer and target become the rows of a launch table. InvalidArgument when there is one already
  /// for these tokens or the image is not complete.
  Status addLinear(KernelImage image, bool ptx);
  /// Adds a support kernel of `file`, e.g. "support/repack.cu".
  Status addSupport(std::string_view file, KernelImage image, bool ptx);

  /// A fact about how the pack was made.
  void setProvenance(const std::string &key, std::string value) { origin[key] = std::move(value); }

  size_t size() const { return kernels.size(); }
  /// Writes the file, which appears whole or not at all. InvalidArgument without kernels.
  Status write(const std::filesystem::path &path) const;

private:
  struct Entry {
    KernelImage image;
    std::string support;
    bool ptx = false;
  };
  Status add(std::string_view what, Entry entry);

  std::map<std::string, Entry> kernels; ///< by what they are for: the order of the manifest
  std::map<std::string, std::string> origin;
};

/// The CUDA version of the driver that code by `compiler` ("nvrtc 13.0") needs: a cubin any of the
/// compiler's major version, PTX the compiler's own. 0 when the name says no version.
int minimumDriverFor(std::string_view compiler, bool ptx);

} // namespace gptqc

#endif // GPTQC_RUNTIME_PACK_PACKBUILDER_H
