// Writing: everything is sorted and nothing depends on time, host or folder.
#include "runtime/pack/PackBuilder.h"

#include <nlohmann/json.hpp>

#include "runtime/core/Hash.h"
#include "runtime/core/KernelImageJson.h"
#include "runtime/core/SafeTensorsWriter.h"
#include "runtime/core/TextForm.h"
#include "runtime/core/WeightLayout.h"

namespace gptqc {
namespace {

using Json = nlohmann::json;

constexpr size_t kPayloadAlignment = 64;

std::string rangeText(const MRange &m) {
  return m.hi == kUnboundedM ? fmt::format("{}..", m.lo) : fmt::format("{}..{}", m.lo, m.hi);
}

/// Numbers in a key sort by value.
std::string sortKey(const Descriptor &descriptor, const Target &target, bool ptx) {
  Descriptor layer = descriptor;
  layer.m = {1, kUnboundedM};
  return fmt::format("linear | {} | {}{} | {:020}", layer.print(), target.arch(), ptx ? " ptx" : "",
                     descriptor.m.lo);
}

/// A tensor's name: the same code is stored once.
std::string tensorName(const std::string &digest, bool ptx) {
  return fmt::format("{}.{}", ptx ? "ptx" : "cubin", digest.substr(0, 32));
}

} // namespace

int minimumDriverFor(std::string_view compiler, bool ptx) {
  const std::vector<std::string_view> words = splitTokens(compiler);
  if (words.size() != 2)
    return 0;
  const std::vector<std::string_view> numbers = splitAt(words[1], '.');
  const std::optional<int64_t> major = parseInteger(numbers[0]);
  const std::optional<int64_t> minor = numbers.size() > 1 ? parseInteger(numbers[1]) : 0;
  if (!major || !minor || *major < 1 || *major > 99 || *minor < 0 || *minor > 99)
    return 0;
  return int(*major * 1000 + (ptx ? *minor * 10 : 0));
}

Status PackBuilder::add(std::string_view what, Entry entry) {
  GPTQC_ASSIGN(const Target target, Target::parse(entry.image.target));
  if (entry.image.cubin.empty())
    return invalidArgument("pack: kernel '{}' has no code", entry.image.descriptor);
  if (entry.ptx && target.archSpecific)
    return invalidArgument("pack: PTX for {} runs on no other GPU; make it for sm_{}",
                           target.arch(), target.capability);
  entry.image.target = target.arch(); // name and SM count chose the schedule; code has neither
  if (!kernels.emplace(what, std::move(entry)).second)
    return invalidArgument("pack: two kernels for '{}'", what);
  return Status();
}

Status PackBuilder::addLinear(KernelImage image, bool ptx) {
  GPTQC_ASSIGN(const Descriptor descriptor, Descriptor::parse(image.descriptor));
  GPTQC_ASSIGN(const Target target, Target::parse(image.target));
  image.descriptor = descriptor.canonical().print();
  return add(sortKey(descriptor.canonical(), target, ptx), {std::move(image), "", ptx});
}

Status PackBuilder::addSupport(std::string_view file, KernelImage image, bool ptx) {
  GPTQC_ASSIGN(const Target target, Target::parse(image.target));
  const std::string what =
      fmt::format("support | {} | {}{}", file, target.arch(), ptx ? " ptx" : "");
  return add(what, {std::move(image), std::string(file), ptx});
}

Status PackBuilder::write(const std::filesystem::path &path) const {
  if (kernels.empty())
    return invalidArgument("pack {}: there is no kernel to write", path.string());
  Json list = Json::array();
  std::map<std::string, Json> tables; // layer and target -> table, in order
  std::map<std::string, std::vector<uint8_t>> code;
  for (const auto &[what, entry] : kernels) {
    const KernelImage &image = entry.image;
    const std::string digest = toHex(sha256(image.cubin.data(), image.cubin.size()));
    Json facts = kernelFactsToJson(image);
    facts["kind"] = entry.ptx ? "ptx" : "cubin";
    facts["sha256"] = digest;
    facts["tensor"] = tensorName(digest, entry.ptx);
    facts["bytes"] = image.cubin.size();
    facts["minimum_driver"] = minimumDriverFor(image.compiler, entry.ptx);
    if (!entry.support.empty()) {
      facts["support"] = entry.support;
    } else {
      GPTQC_ASSIGN(Descriptor layer, Descriptor::parse(image.descriptor));
      const std::string range = rangeText(layer.m);
      layer.m = {1, kUnboundedM};
      Json &table = tables[what.substr(0, what.rfind('|'))];
      table["descriptor"] = layer.print();
      table["target"] = image.target;
      table["kind"] = facts["kind"];
      table["rows"].push_back(Json::array({range, list.size()}));
    }
    std::vector<uint8_t> padded = image.cubin;
    padded.resize((padded.size() + kPayloadAlignment - 1) / kPayloadAlignment * kPayloadAlignment);
    code[tensorName(digest, entry.ptx)] = std::move(padded);
    list.push_back(std::move(facts));
  }
  Json manifest = {{"format", Pack::kFormat},
                   {"layout", kWeightLayoutName},
                   {"kernels", std::move(list)},
                   {"tables", Json::array()},
                   {"provenance", origin}};
  for (auto &[what, table] : tables)
    manifest["tables"].push_back(std::move(table));
  const std::string text = manifest.dump(-1, ' ', false, Json::error_handler_t::replace);

  std::vector<TensorPlan> plan;
  for (const auto &[name, bytes] : code)
    plan.push_back({name, ElementType::U8, {int64_t(bytes.size())}});
  GPTQC_ASSIGN(const std::unique_ptr<SafeTensorsWriter> writer,
               SafeTensorsWriter::create(path, plan,
                                         {{std::string(Pack::kManifestKey), text},
                                          {std::string(Pack::kDigestKey), sha256Hex(text)}}));
  for (const auto &[name, bytes] : code)
    GPTQC_TRY(writer->write(name, bytes));
  return writer->finish();
}

} // namespace gptqc
