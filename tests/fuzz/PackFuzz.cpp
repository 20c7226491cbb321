// Kernel packs. The input stands for a file, and for the manifest of one whose digest is right and
// whose code is there: a digest proves no origin.
#include <cstring>

#include <nlohmann/json.hpp>

#include "runtime/core/Hash.h"
#include "runtime/pack/Pack.h"
#include "tests/fuzz/FuzzTarget.h"

using namespace gptqc;
using namespace gptqc::fuzz;

namespace {

constexpr size_t kCodeBytes = 64;
const char *const kTensors[] = {"cubin.a", "ptx.b"};

/// A file with this manifest and two tensors of code: 40 'a' with zeros behind, and 64 'b'.
std::vector<uint8_t> sealed(std::string_view manifest) {
  nlohmann::json header = {
      {"__metadata__", {{Pack::kManifestKey, manifest}, {Pack::kDigestKey, sha256Hex(manifest)}}}};
  for (size_t i = 0; i < 2; ++i)
    header[kTensors[i]] = {{"dtype", "U8"},
                           {"shape", {kCodeBytes}},
                           {"data_offsets", {i * kCodeBytes, (i + 1) * kCodeBytes}}};
  const std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const uint64_t length = text.size();
  std::vector<uint8_t> file(sizeof length);
  std::memcpy(file.data(), &length, sizeof length);
  file.insert(file.end(), text.begin(), text.end());
  file.insert(file.end(), 40, 'a');
  file.insert(file.end(), kCodeBytes - 40, 0);
  file.insert(file.end(), kCodeBytes, 'b');
  return file;
}

/// Returns whether there is one; its bytes have the digest that the manifest gives.
bool checkImage(const Pack &pack, const Result<KernelImage> &image) {
  if (!image) {
    checkError(image.status());
    return false;
  }
  const std::string digest = toHex(sha256(image->cubin.data(), image->cubin.size()));
  bool listed = false;
  for (const PackKernel &kernel : pack.kernels())
    listed |= kernel.digest == digest && int64_t(image->cubin.size()) == kernel.bytes;
  require(listed, "code has the digest that the manifest gives");
  return true;
}

void checkTable(const Pack &pack, const PackTable &table) {
  const Result<Descriptor> layer = Descriptor::parse(table.descriptor);
  require(layer.ok() && !table.rows.empty(), "a table is of a layer and has rows");
  for (const PackTable::Row &row : table.rows) {
    require(row.m.lo >= 1 && row.m.lo <= row.m.hi && row.kernel < pack.kernels().size(),
            "a row has tokens and a kernel");
    Descriptor kernel = *layer;
    kernel.m = row.m;
    for (const int driver : {0, 13000, 1000000})
      if (const Result<KernelImage> found = pack.findLinear(kernel, table.target, driver);
          checkImage(pack, found))
        require(found->descriptor == kernel.canonical().print(),
                "a kernel for a layer and its tokens is of both: " + kernel.print());
  }
}

void checkPack(const MemoryFile &file) {
  const Result<std::shared_ptr<const Pack>> opened = Pack::open(file.path());
  if (!opened)
    return checkError(opened.status());
  const Pack &pack = **opened;
  bool whole = true;
  for (size_t i = 0; i < pack.kernels().size(); ++i) {
    const PackKernel &kernel = pack.kernels()[i];
    whole &= checkImage(pack, pack.image(i));
    require(kernel.fitness(kernel.target) >= 0, "a kernel fits or does not");
    if (!kernel.support.empty())
      checkImage(pack, pack.findSupport(kernel.support, kernel.target, 1000000));
  }
  const Status verified = pack.verify();
  require(verified.ok() == whole, "a pack is whole when all its kernels are");
  if (!verified.ok())
    checkError(verified);
  for (const PackTable &table : pack.tables())
    checkTable(pack, table);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static MemoryFile file;
  file.assign(data, size);
  checkPack(file);
  const std::vector<uint8_t> pack = sealed(textOf(data, size));
  file.assign(pack.data(), pack.size());
  checkPack(file);
  return 0;
}
