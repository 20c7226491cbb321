// Kernel images and cache entries. The input stands for an image with its digest, and for one whose
// digest is right: the header behind it is no more trusted than the bytes.
#include <filesystem>
#include <fstream>

#include "runtime/core/DiskCache.h"
#include "runtime/core/Hash.h"
#include "runtime/core/KernelImage.h"
#include "tests/fuzz/FuzzTarget.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

const char *const kBuildKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

bool same(const KernelImage &a, const KernelImage &b) {
  return a.descriptor == b.descriptor && a.target == b.target && a.schedule == b.schedule &&
         a.launch == b.launch && a.resources == b.resources && a.compiler == b.compiler &&
         a.buildKey == b.buildKey && a.cubin == b.cubin;
}

void checkImage(const Result<KernelImage> &image) {
  if (!image)
    return checkError(image.status());
  const std::vector<uint8_t> bytes = image->serialize();
  const Result<KernelImage> again = KernelImage::deserialize(bytes.data(), bytes.size(), "again");
  require(again.ok() && same(*again, *image), "deserialize(serialize(x)) == x");
  const LaunchFacts &launch = image->launch;
  if (launch.tileN < 1 || launch.tileM < 1) // a support kernel, which has no tiles
    return;
  for (const int64_t m : {int64_t(0), int64_t(1), int64_t(8192), int64_t(1) << 31}) {
    const int64_t workspace = launch.workspaceBytes(m);
    require(workspace >= 0 && (launch.splitK > 1 || launch.permutedK > 0 || workspace == 0),
            "a workspace has a size");
  }
}

/// A cache folder whose one request is answered by a build with the given bytes.
class Cache {
public:
  Cache()
      : cache(folder.path(), *Log::create("", [](std::string_view line) { checkMessage(line); })) {
    KernelImage image;
    image.buildKey = kBuildKey;
    require(cache.store(request, image).ok(), "an image is stored");
    require(cache.findRequest(request).has_value(), "and found");
  }

  std::optional<KernelImage> findBuild(std::string_view bytes) const {
    fixtures::writeText(folder.path() / "v1/build/01" / kBuildKey, bytes);
    return cache.findRequest(request);
  }

  /// What the request file says is replaced for one look-up.
  std::optional<KernelImage> findThrough(std::string_view requestText) const {
    const std::string key = request.key();
    const std::filesystem::path path = folder.path() / "v1/request" / key.substr(0, 2) / key;
    const std::string good = fixtures::readText(path);
    fixtures::writeText(path, requestText);
    std::optional<KernelImage> image = cache.findRequest(request);
    require(!image || requestText == good, "a damaged request is a miss");
    fixtures::writeText(path, good);
    return image;
  }

private:
  fixtures::TempFolder folder;
  DiskCache cache;
  KernelRequest request{"w4 g128 sym f16->f16 n64 k256 m1..1", "sm_90a", "", "build"};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const Cache cache;
  checkImage(KernelImage::deserialize(data, size, "input"));
  std::vector<uint8_t> sealed(data, data + size);
  const Sha256Digest digest = sha256(data, size);
  sealed.insert(sealed.end(), digest.begin(), digest.end());
  const Result<KernelImage> image =
      KernelImage::deserialize(sealed.data(), sealed.size(), "sealed");
  checkImage(image);
  const std::optional<KernelImage> found = cache.findBuild(textOf(sealed.data(), sealed.size()));
  require(found.has_value() == (image.ok() && image->buildKey == kBuildKey),
          "the cache finds what is whole and has the right key");
  cache.findThrough(textOf(data, size));
  return 0;
}
