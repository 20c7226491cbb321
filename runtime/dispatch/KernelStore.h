// KernelStore: where a runtime gets compiled kernels from: packs, then the kernel cache, then the
// compiler that it was handed. Needs no GPU.
#ifndef GPTQC_RUNTIME_DISPATCH_KERNELSTORE_H
#define GPTQC_RUNTIME_DISPATCH_KERNELSTORE_H

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/DiskCache.h"
#include "runtime/core/Log.h"
#include "runtime/core/Target.h"
#include "runtime/pack/Pack.h"

namespace gptqc {

/// What compiles on a miss; a runtime without a compiler has neither function. Called from several
/// threads at once.
struct KernelCompiler {
  std::function<Result<KernelImage>(const Descriptor &kernel, const Target &)> linear;
  std::function<Result<KernelImage>(std::string_view file, std::string_view entry, const Target &)>
      support;
};

struct KernelStoreOptions {
  std::vector<std::shared_ptr<const Pack>> packs; ///< asked in this order
  std::optional<CacheOptions> cache;
  /// KernelRequest::compilerBuild of the cache entries to use; empty: the cache is not asked (its
  /// requests do not say what a compiler with local changes made).
  std::string cacheBuild;
  KernelCompiler compiler;
  Log log;

  /// Sets `cache` and `cacheBuild` as users say it: a folder; nothing: the default one, none where
  /// the machine has none; "": none. Errors as CacheOptions::fromEnvironment.
  Status useCache(const std::optional<std::string> &folder, std::string build);
};

/// Thread-safe.
class KernelStore {
public:
  explicit KernelStore(KernelStoreOptions options);

  /// The kernel for a layer and its m range. NotFound names the descriptor and everything that was
  /// asked.
  Result<KernelImage> linear(const Descriptor &kernel, const Target &gpu, int driver) const;
  Result<KernelImage> support(std::string_view file, std::string_view entry, const Target &gpu,
                              int driver) const;

  bool canCompile() const { return bool(options.compiler.linear); }
  const Log &log() const { return options.log; }

private:
  /// The first of `requests` is what is wanted; the others will do where the cache has them.
  template <typename Find>
  Result<KernelImage> find(std::span<const KernelRequest> requests, const Find &inPack,
                           const std::function<Result<KernelImage>()> &compile) const;

  KernelStoreOptions options;
  std::optional<DiskCache> cache;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DISPATCH_KERNELSTORE_H
