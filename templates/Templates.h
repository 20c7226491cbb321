// The CUDA device headers and support kernels, embedded in the binary: NVRTC gets them as in-memory
// files, so a compiler needs no source tree and no CUDA headers at run time.
#ifndef GPTQC_TEMPLATES_TEMPLATES_H
#define GPTQC_TEMPLATES_TEMPLATES_H

#include <span>
#include <string_view>

namespace gptqc {

struct EmbeddedFile {
  std::string_view name; ///< relative to templates/, e.g. "gptqc/base.cuh", "support/repack.cu"
  std::string_view text; ///< NUL-terminated: text.data()[text.size()] == 0
};

/// All embedded files, sorted by name. Static storage; safe from any thread.
std::span<const EmbeddedFile> embeddedTemplates();

/// The file of that name; an empty name when there is none.
EmbeddedFile findTemplate(std::string_view name);

} // namespace gptqc

#endif // GPTQC_TEMPLATES_TEMPLATES_H
