// One safetensors file a layer, written atomically: a layer is there whole or not at all.
#include "runtime/solver/quantize/Journal.h"

#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/SafeTensorsWriter.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;
constexpr const char *kRunFile = "run.txt";

template <typename T> std::vector<T> vectorOf(std::span<const uint8_t> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty())
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

/// Proves a layer's tensors undamaged, at the speed of memory. Each step is a bijection of the sum
/// and of the word, so that one damaged word always shows and more do but for one case in 2^64.
class Checksum {
public:
  void add(std::span<const uint8_t> bytes) {
    uint64_t word = bytes.size();
    step(word);
    for (; bytes.size() >= sizeof(word); bytes = bytes.subspan(sizeof(word))) {
      std::memcpy(&word, bytes.data(), sizeof(word));
      step(word);
    }
    word = 0;
    if (!bytes.empty())
      std::memcpy(&word, bytes.data(), bytes.size());
    step(word);
  }
  std::string text() const { return fmt::format("{:016x}", sum); }

private:
  void step(uint64_t word) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15; // odd: 2^64 over the golden ratio
    sum ^= sum >> 32;
  }
  uint64_t sum = 0;
};

constexpr const char *kTensors[] = {"qweight", "scales", "zeros", "g_idx"};

std::map<std::string, std::string> metadataOf(const QuantizedMatrix &matrix, Packing packing,
                                              const LayerRecord &record, const Checksum &checksum) {
  const Descriptor &d = matrix.descriptor;
  return {{"bits", fmt::format("{}", d.bits)},
          {"group_size", fmt::format("{}", d.groupSize)},
          {"n", fmt::format("{}", d.n)},
          {"k", fmt::format("{}", d.k)},
          {"act", d.act == DType::BF16 ? "bf16" : "f16"},
          {"packing", std::string(packingName(packing))},
          {"loss", fmt::format("{}", record.loss)}, // shortest text that reads back the same
          {"damp", fmt::format("{}", record.damp)},
          {"error_before", fmt::format("{}", record.errorBefore)},
          {"error_after", fmt::format("{}", record.errorAfter)},
          {"seconds", fmt::format("{}", record.seconds)},
          {"tokens", fmt::format("{}", record.tokens)},
          {"recovery", record.recovery},
          {"checksum", checksum.text()}};
}

/// Reads what metadataOf wrote; a file that lacks something is not ours.
class Metadata {
public:
  explicit Metadata(const std::map<std::string, std::string> &values) : values(values) {}
  std::string text(const std::string &key) {
    const auto found = values.find(key);
    complete = complete && found != values.end();
    return found == values.end() ? std::string() : found->second;
  }
  double number(const std::string &key) { return std::strtod(text(key).c_str(), nullptr); }
  int64_t integer(const std::string &key) { return std::strtoll(text(key).c_str(), nullptr, 10); }
  bool complete = true;

private:
  const std::map<std::string, std::string> &values;
};

} // namespace

QuantizedMatrix JournalEntry::matrix() const {
  QuantizedMatrix whole = facts;
  const Descriptor &d = facts.descriptor;
  whole.codes = unpackRows(packing, d.bits, d.k, d.n, qweight);
  return whole;
}

Journal::Journal(Journal &&other) noexcept
    : folder(std::move(other.folder)), lock(std::exchange(other.lock, -1)) {}

Journal::~Journal() {
  if (lock >= 0)
    ::close(lock);
}

fs::path Journal::pathOf(const std::string &module) const {
  return folder / (module + ".safetensors");
}

Result<Journal> Journal::open(const fs::path &folder, const std::string &run, bool resume) {
  std::error_code error;
  fs::create_directories(folder, error);
  const int lock = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0)
    return makeError(Code::IoError, "cannot make {}; choose an output folder that can be written",
                     folder.string());
  Journal journal(folder, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0)
    return invalidArgument("{} is in use by another run", folder.string());
  const Result<std::vector<uint8_t>> bytes = readFile(folder / kRunFile);
  const std::string earlier =
      bytes.ok() ? std::string(bytes->begin(), bytes->end()) : std::string();
  if (resume && !earlier.empty() && earlier != run)
    return invalidArgument("{} was left by a run with another model, other options or other "
                           "calibration tokens; repeat those, or start over without --resume",
                           folder.string());
  // One file a finished layer, beside the one that names the run.
  const auto files = std::distance(fs::directory_iterator(folder, error), fs::directory_iterator());
  if (!resume && earlier == run && files > 1)
    return invalidArgument("{} holds {} finished layers of the same run; go on with --resume, or "
                           "remove it to start over",
                           folder.string(), files - 1);
  if (!resume || earlier.empty())
    for (const fs::directory_entry &entry : fs::directory_iterator(folder, error))
      fs::remove(entry.path(), error);
  GPTQC_TRY(writeFileAtomically(folder / kRunFile, run));
  return journal;
}

std::optional<JournalEntry> Journal::find(const std::string &module) const {
  const Result<std::shared_ptr<const SafeTensorsFile>> file = SafeTensorsFile::open(pathOf(module));
  if (!file.ok())
    return std::nullopt;
  JournalEntry entry;
  entry.file = *file;
  Metadata metadata(entry.file->metadata());
  LayerCodes layer;
  layer.bits = int(metadata.integer("bits"));
  layer.groupSize = metadata.integer("group_size");
  layer.n = metadata.integer("n");
  layer.k = metadata.integer("k");
  layer.act = layer.out = metadata.text("act") == "bf16" ? DType::BF16 : DType::F16;
  entry.packing = metadata.text("packing") == packingName(Packing::Planar) ? Packing::Planar
                                                                           : Packing::Continuous;
  entry.record = {metadata.number("loss"),         metadata.number("damp"),
                  metadata.number("error_before"), metadata.number("error_after"),
                  metadata.number("seconds"),      metadata.integer("tokens"),
                  metadata.text("recovery")};
  const auto bytes = [&](const char *name) {
    const TensorInfo *info = entry.file->find(name);
    return info ? entry.file->bytes(*info) : std::span<const uint8_t>();
  };
  entry.qweight = bytes("qweight");
  const std::vector<uint8_t> zeros = vectorOf<uint8_t>(bytes("zeros"));
  const std::vector<uint16_t> scales = vectorOf<uint16_t>(bytes("scales"));
  const std::vector<int32_t> groupIndex = vectorOf<int32_t>(bytes("g_idx"));
  layer.zeros = zeros;
  layer.scales = scales;
  layer.groupIndex = groupIndex;
  Result<QuantizedMatrix> facts = layerWithoutCodes(layer);
  Checksum checksum;
  for (const char *name : kTensors)
    checksum.add(bytes(name));
  if (metadata.text("checksum") != checksum.text() || !metadata.complete || !facts.ok() ||
      int64_t(entry.qweight.size()) != packedWords(layer.bits, layer.k) * layer.n * 4)
    return std::nullopt;
  entry.facts = std::move(*facts);
  return entry;
}

Status Journal::put(const std::string &module, const QuantizedMatrix &facts,
                    std::span<const uint8_t> qweight, Packing packing,
                    const LayerRecord &record) const {
  const Descriptor &d = facts.descriptor;
  const int64_t words = packedWords(d.bits, d.k);
  const bool zeros = !facts.zeros.empty(), groupIndex = !facts.groupIndex.empty();
  std::vector<TensorPlan> plan = {{"qweight", ElementType::I32, {words, d.n}},
                                  {"scales", ElementType::F16, {facts.groups, d.n}}};
  if (zeros)
    plan.push_back({"zeros", ElementType::U8, {facts.groups, d.n}});
  if (groupIndex)
    plan.push_back({"g_idx", ElementType::I32, {d.k}});
  const std::span<const uint8_t> tensors[] = {qweight, bytesOf(facts.scales), bytesOf(facts.zeros),
                                              bytesOf(facts.groupIndex)}; // as kTensors
  Checksum checksum;
  for (const std::span<const uint8_t> &tensor : tensors)
    checksum.add(tensor);
  GPTQC_ASSIGN(const std::unique_ptr<SafeTensorsWriter> writer,
               SafeTensorsWriter::create(pathOf(module), plan,
                                         metadataOf(facts, packing, record, checksum)));
  for (size_t i = 0; i < std::size(tensors); ++i)
    if (!tensors[i].empty())
      GPTQC_TRY(writer->write(kTensors[i], tensors[i]));
  return writer->finish();
}

void Journal::remove() {
  std::error_code error;
  fs::remove_all(folder, error);
}

} // namespace gptqc
