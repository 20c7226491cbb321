// Asks one source after the other and collects why each had nothing.
#include "runtime/dispatch/KernelStore.h"

namespace gptqc {

Status KernelStoreOptions::useCache(const std::optional<std::string> &folder, std::string build) {
  if (folder && folder->empty())
    return Status();
  Result<CacheOptions> found = CacheOptions::fromEnvironment(folder.value_or(""));
  if (found.ok())
    cache = std::move(*found);
  else if (found.status().code() != Code::NotFound)
    return found.status();
  cacheBuild = std::move(build);
  return Status();
}

KernelStore::KernelStore(KernelStoreOptions given) : options(std::move(given)) {
  if (options.cache && !options.cacheBuild.empty())
    cache.emplace(*options.cache, options.log);
}

/// A pack that is damaged or for another GPU is a reason, not a failure: the next source may do.
template <typename Find>
Result<KernelImage> KernelStore::find(std::span<const KernelRequest> requests, const Find &inPack,
                                      const std::function<Result<KernelImage>()> &compile) const {
  const KernelRequest &wanted = requests[0];
  Status first;
  for (const auto &pack : options.packs) {
    Result<KernelImage> found = inPack(*pack);
    if (found.ok()) {
      options.log.event(Topic::Dispatch, "{}: pack {}", wanted.print(), pack->path().string());
      return found;
    }
    options.log.event(Topic::Dispatch, "{}: {}", wanted.print(), found.status().message());
    if (found.status().code() == Code::DataCorrupt)
      options.log.warning("{}", found.status().message());
    // A pack for this GPU that lacks the kernel says less than one that cannot be used at all.
    if (first.ok() || first.code() == Code::NotFound)
      first = found.status();
  }
  for (const KernelRequest &request : requests)
    if (std::optional<KernelImage> found = cache ? cache->findRequest(request) : std::nullopt)
      return std::move(*found);
  if (compile)
    return compile();
  if (!first.ok())
    return first;
  return makeError(Code::NotFound,
                   "no kernel '{}' for {}: there is no pack{}, and no compiler was given",
                   wanted.descriptor, wanted.target, cache ? ", the cache lacks it" : "");
}

Result<KernelImage> KernelStore::linear(const Descriptor &kernel, const Target &gpu,
                                        int driver) const {
  const Descriptor canonical = kernel.canonical();
  std::vector<KernelRequest> requests = {
      KernelRequest::linear(canonical, gpu, "", options.cacheBuild)};
  std::function<Result<KernelImage>()> compile;
  if (options.compiler.linear) {
    compile = [&] { return options.compiler.linear(canonical, gpu); };
  } else { // made for the usual number of multiprocessors: it runs here too
    Target usual = gpu;
    usual.smCount = 0;
    requests.push_back(KernelRequest::linear(canonical, usual, "", options.cacheBuild));
  }
  return find(
      requests, [&](const Pack &pack) { return pack.findLinear(canonical, gpu, driver); }, compile);
}

Result<KernelImage> KernelStore::support(std::string_view file, std::string_view entry,
                                         const Target &gpu, int driver) const {
  const KernelRequest request = {fmt::format("{}:{}", file, entry), gpu.arch(), "",
                                 options.cacheBuild};
  std::function<Result<KernelImage>()> compile;
  if (options.compiler.support)
    compile = [&] { return options.compiler.support(file, entry, gpu); };
  return find(
      std::span(&request, 1), [&](const Pack &pack) { return pack.findSupport(file, gpu, driver); },
      compile);
}

} // namespace gptqc
