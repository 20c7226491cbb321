// Which gptqc this is. Defined in a generated file of its own library (gptqc_version), so that a
// new commit recompiles that file alone.
#ifndef GPTQC_RUNTIME_CORE_VERSION_H
#define GPTQC_RUNTIME_CORE_VERSION_H

#include <string>
#include <string_view>

namespace gptqc {

/// "0.1.0"
std::string_view versionNumber();

/// Abbreviated commit, with "-dirty" when the tree had changes; "unknown" outside a git checkout.
std::string_view versionCommit();

/// Who compiles, as cache requests and tuning records say it, in one word: "0.1.0-34457ef".
inline std::string versionBuildId() {
  return std::string(versionNumber()) + "-" + std::string(versionCommit());
}

/// Whether the build id tells two states of the compiler apart; not for local changes.
inline bool versionIdentifiesBuild() {
  return versionCommit() != "unknown" && !versionCommit().ends_with("-dirty");
}

/// The build id that names entries of a cache; empty when it does not identify the build.
inline std::string versionCacheBuild() {
  return versionIdentifiesBuild() ? versionBuildId() : std::string();
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_VERSION_H
