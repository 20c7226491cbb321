// Which gptqc this is. Defined in a generated file of its own library (gptqc_version), so that a
// new commit recompiles that file alone.
#ifndef GPTQC_RUNTIME_CORE_VERSION_H
#define GPTQC_RUNTIME_CORE_VERSION_H

#include <string_view>

namespace gptqc {

/// "0.1.0"
std::string_view versionNumber();

/// Abbreviated commit, with "-dirty" when the tree had changes; "unknown" outside a git checkout.
std::string_view versionCommit();

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_VERSION_H
