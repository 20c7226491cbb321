// The order of the sources, and the reasons when none has a kernel.
#include "runtime/dispatch/KernelStore.h"

#include <atomic>
#include <cstdlib>

#include <gtest/gtest.h>

#include "runtime/pack/PackBuilder.h"
#include "tests/runtime/dispatch/FakeKernels.h"
#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

using fixtures::TempFolder;

const Target kGpu = *Target::parse("sm_90a h200 sms132");
Descriptor kernel(const char *m) {
  return *Descriptor::parse(fmt::format("w4 g128 sym f16->f16 n256 k256 {}", m));
}

std::shared_ptr<const Pack> packWith(const std::filesystem::path &path, const KernelImage &image) {
  PackBuilder builder;
  EXPECT_TRUE(builder.addLinear(image, false).ok());
  EXPECT_TRUE(builder.write(path).ok());
  return *Pack::open(path);
}

TEST(KernelStoreTest, PacksThenCacheThenCompiler) {
  const TempFolder folder;
  std::atomic<int> compiled = 0;
  KernelStoreOptions options;
  KernelImage packed = fakeLinear(kernel("m1..1"));
  packed.cubin = {9, 9};
  options.packs.push_back(packWith(folder / "pack", packed));
  options.cache = CacheOptions{.folder = folder / "cache", .layers = {}};
  options.cacheBuild = "build-1";
  const KernelRequest request = KernelRequest::linear(kernel("m2..2"), kGpu, "", "build-1");
  KernelImage cached = fakeLinear(kernel("m2..2"));
  cached.cubin = {8};
  ASSERT_TRUE(DiskCache(folder / "cache").store(request, cached).ok());
  options.compiler = fakeCompiler(compiled);
  const KernelStore store(options);
  EXPECT_EQ(store.linear(kernel("m1..1"), kGpu, 13000)->cubin.size(), 2u);
  EXPECT_EQ(store.linear(kernel("m2..2"), kGpu, 13000)->cubin[0], 8);
  EXPECT_EQ(compiled, 0);
  EXPECT_TRUE(store.linear(kernel("m3..4"), kGpu, 13000).ok());
  EXPECT_EQ(compiled, 1);
  EXPECT_TRUE(store.support("support/repack.cu", "repack_weights", kGpu, 13000).ok());
  // Another build's requests are not for us.
  options.cacheBuild = "build-2";
  EXPECT_TRUE(KernelStore(options).linear(kernel("m2..2"), kGpu, 13000).ok());
  EXPECT_EQ(compiled, 2);
}

TEST(KernelStoreTest, ADefaultIsForSoManyMultiprocessors) {
  const TempFolder folder;
  std::atomic<int> compiled = 0;
  const Target slice = *Target::parse("sm_90a h200 sms16");
  EXPECT_NE(KernelRequest::linear(kernel("m1..1"), kGpu, "", "build").key(),
            KernelRequest::linear(kernel("m1..1"), slice, "", "build").key());
  EXPECT_EQ(KernelRequest::linear(kernel("m1..1"), kGpu, "simt", "build").key(),
            KernelRequest::linear(kernel("m1..1"), slice, "simt", "build").key());
  KernelStoreOptions options;
  options.cache = CacheOptions{.folder = folder / "cache", .layers = {}};
  options.cacheBuild = "build";
  ASSERT_TRUE(
      DiskCache(folder / "cache")
          .store(KernelRequest::linear(kernel("m1..1"), *Target::parse("sm_90a"), "", "build"),
                 fakeLinear(kernel("m1..1")))
          .ok());
  EXPECT_TRUE(KernelStore(options).linear(kernel("m1..1"), slice, 13000).ok())
      << "without a compiler the usual choice will do";
  options.compiler = fakeCompiler(compiled);
  EXPECT_TRUE(KernelStore(options).linear(kernel("m1..1"), kGpu, 13000).ok());
  EXPECT_EQ(compiled, 0) << "an H200 has the usual number";
  EXPECT_TRUE(KernelStore(options).linear(kernel("m1..1"), slice, 13000).ok());
  EXPECT_EQ(compiled, 1);
}

TEST(KernelStoreTest, CachesAsUsersSayThem) {
  KernelStoreOptions named, none, usual;
  ASSERT_TRUE(named.useCache("/some/folder", "build").ok());
  EXPECT_EQ(named.cache->folder, "/some/folder");
  EXPECT_EQ(named.cacheBuild, "build");
  ASSERT_TRUE(none.useCache("", "build").ok());
  EXPECT_FALSE(none.cache);
  ::setenv("GPTQC_CACHE_DIR", "/from/the/environment", 1);
  ASSERT_TRUE(usual.useCache(std::nullopt, "build").ok());
  EXPECT_EQ(usual.cache->folder, "/from/the/environment");
  ::setenv("GPTQC_CACHE_SIZE", "much", 1);
  EXPECT_EQ(usual.useCache("/some/folder", "build").code(), Code::InvalidArgument);
  ::unsetenv("GPTQC_CACHE_SIZE");
  ::unsetenv("GPTQC_CACHE_DIR");
}

TEST(KernelStoreTest, SaysWhatWasAsked) {
  const TempFolder folder;
  KernelStoreOptions options;
  auto status = KernelStore(options).linear(kernel("m1..1"), kGpu, 13000).status();
  EXPECT_EQ(status.code(), Code::NotFound);
  EXPECT_NE(status.message().find(kernel("m1..1").print()), std::string::npos);
  EXPECT_NE(status.message().find("no compiler was given"), std::string::npos);
  options.packs.push_back(packWith(folder / "pack", fakeLinear(kernel("m1..1"))));
  status = KernelStore(options).linear(kernel("m2..2"), kGpu, 13000).status();
  EXPECT_EQ(status.code(), Code::NotFound);
  EXPECT_NE(status.message().find((folder / "pack").string()), std::string::npos);
  status = KernelStore(options).linear(kernel("m1..1"), *Target::parse("sm_80"), 13000).status();
  EXPECT_EQ(status.code(), Code::Unsupported);
  EXPECT_NE(status.message().find("this GPU is sm_80"), std::string::npos) << status.message();
}

} // namespace
} // namespace gptqc
