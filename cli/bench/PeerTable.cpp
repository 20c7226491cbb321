// Tables of recorded peer times: the text form and the search.
#include "cli/bench/PeerTable.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/TextForm.h"

namespace gptqc::cli {

extern const char *const kPeersH200; ///< bench/peers_h200.txt

namespace {

Result<PeerTime> parseLine(std::string_view line) {
  const std::vector<std::string_view> fields = splitAt(line, '|');
  if (fields.size() != 3)
    return invalidArgument("`{}`: write `descriptor | peer | microseconds`", line);
  PeerTime time;
  GPTQC_ASSIGN(time.descriptor, Descriptor::parse(trim(fields[0])));
  if (time.descriptor.m.lo != time.descriptor.m.hi)
    return invalidArgument("`{}`: a recorded time has one token count, e.g. m16..16", line);
  time.peer = trim(fields[1]);
  const std::string_view number = trim(fields[2]);
  const char *const end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, time.microseconds);
  if (time.peer.empty() || error != std::errc() || stop != end ||
      !std::isfinite(time.microseconds) || time.microseconds <= 0)
    return invalidArgument("`{}`: write `descriptor | peer | microseconds`", line);
  return time;
}

} // namespace

Result<PeerTable> PeerTable::parse(std::string_view text, std::string_view origin) {
  PeerTable table;
  int number = 0;
  for (std::string_view line : splitAt(text, '\n')) {
    ++number;
    line = trim(line.substr(0, line.find_first_of("#\r")));
    if (line.empty())
      continue;
    Result<PeerTime> time = parseLine(line);
    if (!time)
      return time.status().withContext(fmt::format("{}:{}", origin, number));
    table.times.push_back(*std::move(time));
  }
  return table;
}

Result<PeerTable> PeerTable::read(const std::filesystem::path &path) {
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path, uint64_t(16) << 20));
  return parse({reinterpret_cast<const char *>(bytes.data()), bytes.size()}, path.string());
}

PeerTable PeerTable::builtIn(std::string_view gpu) {
  if (gpu != "h200")
    return {};
  const Result<PeerTable> table = parse(kPeersH200, "peers_h200.txt");
  return table ? *table : PeerTable(); // a test parses it
}

const PeerTime *PeerTable::find(Descriptor descriptor, int64_t m) const {
  descriptor.m = {m, m};
  const auto found = std::find_if(times.begin(), times.end(), [&](const PeerTime &time) {
    return time.descriptor == descriptor;
  });
  return found == times.end() ? nullptr : &*found;
}

} // namespace gptqc::cli
