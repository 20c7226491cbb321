// Text form, merging and lookup of tuning records.
#include "autotune/records/Records.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <map>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t(1) << 30;
constexpr std::string_view kSyntax =
    "descriptor | target | schedule | us=<time> spread=<ratio> method=<word> build=<word>";

/// A finite number that is the whole of `text`.
std::optional<double> parseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

/// Reads the fourth field: every key once, in their order.
Status parseMeasurement(std::string_view text, TuningRecord &record) {
  const std::vector<std::string_view> tokens = splitTokens(text);
  constexpr std::array<std::string_view, 4> kKeys = {"us", "spread", "method", "build"};
  std::array<std::string_view, 4> values;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const size_t equals = tokens[i].find('=');
    const std::string_view key = tokens[i].substr(0, equals);
    if (i >= kKeys.size() || key != kKeys[i] || equals == std::string_view::npos)
      return invalidArgument("unexpected '{}'", quoteName(tokens[i]));
    values[i] = tokens[i].substr(equals + 1);
  }
  if (tokens.size() < kKeys.size())
    return invalidArgument("{} is missing", kKeys[tokens.size()]);
  const std::optional<double> time = parseNumber(values[0]), spread = parseNumber(values[1]);
  if (!time || *time <= 0)
    return invalidArgument("us={} is no positive time", quoteName(values[0]));
  if (!spread || *spread < 0)
    return invalidArgument("spread={} is no ratio", quoteName(values[1]));
  for (const std::string_view word : {values[2], values[3]})
    if (word.empty() || quoteName(word) != word)
      return invalidArgument("method and build must be printable words");
  record.microseconds = *time;
  record.spread = *spread;
  record.method = values[2];
  record.build = values[3];
  return Status();
}

Status ioError(std::string_view action, const std::filesystem::path &path, int error) {
  return makeError(Code::IoError, "cannot {} {}: {}", action, path.string(),
                   std::generic_category().message(error));
}

/// Where the last whole line ends.
off_t endOfLines(int fd, off_t size) {
  std::array<char, 4096> block = {};
  while (size > 0) {
    const off_t start = std::max<off_t>(0, size - off_t(block.size()));
    const ssize_t count = ::pread(fd, block.data(), size_t(size - start), start);
    if (count <= 0)
      return size;
    for (ssize_t i = count; i-- > 0;)
      if (block[size_t(i)] == '\n')
        return start + i + 1;
    size = start;
  }
  return 0;
}

Status writeAt(int fd, std::string_view text, off_t at, const std::filesystem::path &path) {
  while (!text.empty()) {
    const ssize_t count = ::pwrite(fd, text.data(), text.size(), at);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return ioError("append to", path, errno);
    text.remove_prefix(size_t(count));
    at += count;
  }
  return ::fsync(fd) == 0 ? Status() : ioError("append to", path, errno);
}

/// What stands behind the last newline of a file.
enum class Tail {
  None,
  Line,   ///< a line that lacks its newline alone
  Torn,   ///< the start of a record, whose writer was killed
  Foreign ///< nothing of ours
};

Tail tailOf(std::string_view text) {
  constexpr size_t kLongestLine = 4096;
  if (text.empty())
    return Tail::None;
  const std::string_view line = trim(text);
  if (line.empty() || line.starts_with('#') || TuningRecord::parse(line).ok())
    return Tail::Line;
  const size_t bar = line.find('|');
  const bool begins = bar != std::string_view::npos
                          ? Descriptor::parse(trim(line.substr(0, bar))).ok()
                          : line[0] == 'w' && (line.size() == 1 || std::isdigit(uint8_t(line[1])));
  return begins && text.size() <= kLongestLine ? Tail::Torn : Tail::Foreign;
}

/// The file is locked by the caller.
Status appendLocked(int fd, std::string text, const std::filesystem::path &path) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const off_t whole = endOfLines(fd, size);
  std::string rest(size_t(size - whole), '\0');
  if (::pread(fd, rest.data(), rest.size(), whole) != ssize_t(rest.size()))
    return ioError("read", path, errno);
  const Tail tail = tailOf(rest);
  if (tail == Tail::Foreign)
    return dataCorrupt("{}: its last line '{}' is no tuning record; name another file",
                       path.string(), quoteName(rest));
  if (text.empty())
    return Status();
  if (tail == Tail::Torn && ::ftruncate(fd, whole) != 0)
    return ioError("repair", path, errno);
  if (tail == Tail::Line)
    text.insert(0, "\n");
  return writeAt(fd, text, tail == Tail::Torn ? whole : size, path);
}

/// How unlike two points are: the sum of the differences of shape in powers of two, and a part of
/// one for each attribute that changes the kernel's instructions. Infinite where no schedule
/// carries over.
double distance(const Descriptor &a, const Descriptor &b) {
  const auto octaves = [](int64_t x, int64_t y) {
    return std::abs(std::log2(double(x)) - std::log2(double(y)));
  };
  const auto tokens = [](const Descriptor &d) { return d.m.hi == kUnboundedM ? d.m.lo : d.m.hi; };
  const double ofTokens = octaves(tokens(a), tokens(b));
  if (a.ragged != b.ragged || a.grouped() != b.grouped() || ofTokens > 1)
    return INFINITY;
  constexpr double kNarrower = 0.5, kAttribute = 0.25, kPermuted = 1;
  return 2 * ofTokens + octaves(a.n, b.n) + octaves(a.k, b.k) + octaves(a.experts, b.experts) +
         kNarrower * std::abs(a.bits - b.bits) + kAttribute * (a.groupSize != b.groupSize) +
         kAttribute * (a.sym != b.sym) + kAttribute * (a.act != b.act) +
         kAttribute * (a.siluMul != b.siluMul) + kPermuted * (a.actOrder != b.actOrder);
}

constexpr double kTooFar = 3;

} // namespace

Result<TuningRecord> TuningRecord::parse(std::string_view line) {
  const std::vector<std::string_view> fields = splitAt(line, '|');
  const auto refuse = [&](std::string_view why) {
    return invalidArgument("tuning record '{}': {} (write: {})", quoteName(line), why, kSyntax);
  };
  if (fields.size() != 4)
    return refuse("it has not four fields");
  TuningRecord record;
  const auto descriptor = Descriptor::parse(trim(fields[0]));
  if (!descriptor.ok())
    return refuse(descriptor.status().message());
  record.descriptor = descriptor->canonical();
  const auto target = Target::parse(trim(fields[1]));
  if (!target.ok())
    return refuse(target.status().message());
  record.target = *target;
  const auto schedule = Schedule::parse(trim(fields[2]));
  if (!schedule.ok())
    return refuse(schedule.status().message());
  record.schedule = *schedule;
  const Status measured = parseMeasurement(fields[3], record);
  if (!measured.ok())
    return refuse(measured.message());
  return record;
}

std::string TuningRecord::print() const {
  return fmt::format("{} | {} | {} | us={} spread={} method={} build={}", descriptor.print(),
                     target.print(), schedule.print(), microseconds, spread, method, build);
}

Result<Records> Records::parse(std::string_view text, std::string_view origin) {
  Records result;
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    ++number;
    if (end == std::string_view::npos && tailOf(text) == Tail::Torn) {
      result.tornTail = true;
      break;
    }
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end == std::string_view::npos ? end : end + 1));
    if (line.empty() || line.starts_with('#'))
      continue;
    Result<TuningRecord> record = TuningRecord::parse(line);
    if (!record.ok())
      return record.status().withContext(fmt::format("{}:{}", origin, number));
    result.records.push_back(std::move(*record));
  }
  return result;
}

Result<Records> Records::load(const std::filesystem::path &path) {
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path, kMaxFileBytes));
  return parse({reinterpret_cast<const char *>(bytes.data()), bytes.size()}, path.string());
}

Records Records::merge(const std::vector<Records> &parts) {
  std::map<std::string, const TuningRecord *> sorted;
  for (const Records &part : parts)
    for (const TuningRecord &record : part.records)
      sorted.emplace(record.print(), &record);
  Records result;
  for (const auto &[line, record] : sorted)
    result.records.push_back(*record);
  return result;
}

const TuningRecord *Records::best(const Descriptor &descriptor, const Target &target) const {
  const Descriptor wanted = descriptor.canonical();
  // Target and schedule -> its last measurement; those of the very target hide the others.
  std::map<std::string, const TuningRecord *> same, related;
  for (const TuningRecord &record : records) {
    if (record.target.arch() != target.arch() || record.descriptor != wanted)
      continue;
    auto &group = record.target == target ? same : related;
    group[record.target.print() + record.schedule.print()] = &record;
  }
  const TuningRecord *found = nullptr;
  for (const auto &[schedule, record] : same.empty() ? related : same)
    if (!found || record->microseconds < found->microseconds)
      found = record;
  return found;
}

const TuningRecord *
Records::nearest(const Descriptor &descriptor, const Target &target,
                 const std::function<bool(const TuningRecord &)> &usable) const {
  const Descriptor wanted = descriptor.canonical();
  const TuningRecord *found = nullptr;
  double closest = kTooFar;
  for (const TuningRecord &record : records) {
    if (record.target.arch() != target.arch())
      continue;
    const double apart = distance(record.descriptor, wanted);
    if (apart > closest ||
        (found && apart == closest && record.microseconds >= found->microseconds))
      continue;
    if (!usable(record))
      continue;
    found = &record;
    closest = apart;
  }
  return found;
}

std::string Records::print() const {
  std::string text;
  for (const TuningRecord &record : records)
    text += record.print() + "\n";
  return text;
}

Status appendRecords(const std::filesystem::path &path, const std::vector<TuningRecord> &records) {
  std::string text;
  for (const TuningRecord &record : records)
    text += record.print() + "\n";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0)
    return ioError("append to", path, errno);
  while (::flock(fd, LOCK_EX) != 0 && errno == EINTR) {
  }
  const Status status = appendLocked(fd, std::move(text), path);
  ::close(fd); // unlocks
  return status;
}

} // namespace gptqc
