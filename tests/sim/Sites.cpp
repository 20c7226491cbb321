// Source lines of code addresses, and request statistics.
#include "tests/sim/Sites.h"

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>
#include <map>
#include <set>

#include <fmt/format.h>

namespace gptqc::sim {

namespace {

struct Site {
  const void *code = nullptr;
  size_t bytes = 0;
  bool isShared = false, isWrite = false;
  auto operator<=>(const Site &) const = default;
};

struct Totals {
  uint64_t requests = 0;
  uint64_t units = 0; ///< wavefronts in shared memory, sectors in global
  uint64_t ideal = 0; ///< the fewest units that hold the same bytes
};

/// The lanes' addresses of one execution of a site by a warp.
using Request = std::vector<uint64_t>;

struct Recorder {
  std::map<Site, Totals> totals;
  std::map<std::pair<Site, int>, uint64_t> executions;         ///< by thread
  std::map<std::tuple<Site, int, uint64_t>, Request> requests; ///< by warp and execution
};
std::unique_ptr<Recorder> recorder;

/// Wavefronts of a shared-memory request: 128 bytes at a time (all lanes for 4 bytes, a quarter of
/// the warp for 16), each as often as its fullest bank has different words.
uint64_t wavefronts(const Request &request, size_t bytes) {
  const size_t lanes = bytes <= 4 ? 32 : 128 / bytes;
  uint64_t count = 0;
  for (size_t first = 0; first < request.size(); first += lanes) {
    std::map<uint64_t, std::set<uint64_t>> wordsOfBank;
    for (size_t i = first; i < std::min(first + lanes, request.size()); ++i)
      for (uint64_t word = request[i] / 4; word <= (request[i] + bytes - 1) / 4; ++word)
        wordsOfBank[word % 32].insert(word);
    size_t most = 0;
    for (const auto &[bank, words] : wordsOfBank)
      most = std::max(most, words.size());
    count += most;
  }
  return count;
}

uint64_t distinct(const Request &request, size_t bytes, uint64_t unit) {
  std::set<uint64_t> units;
  for (uint64_t address : request)
    for (uint64_t at = address / unit; at <= (address + bytes - 1) / unit; ++at)
      units.insert(at);
  return units.size();
}

void close(const Site &site, const Request &request) {
  Totals &totals = recorder->totals[site];
  ++totals.requests;
  if (site.isShared) {
    totals.units += wavefronts(request, site.bytes);
    totals.ideal += (distinct(request, site.bytes, 4) + 31) / 32;
  } else {
    totals.units += distinct(request, site.bytes, 32);
    totals.ideal += (distinct(request, site.bytes, 1) + 31) / 32;
  }
}

/// The part of a path behind the last '/'.
std::string baseName(const std::string &path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

/// addr2line's frames of a code address, innermost first, as (function, file:line).
std::vector<std::pair<std::string, std::string>> frames(const void *code) {
  std::vector<std::pair<std::string, std::string>> result;
  Dl_info info;
  if (!dladdr(code, &info) || !info.dli_fname)
    return result;
  // Position-independent code; the instruction in front of the return address.
  const uintptr_t offset = uintptr_t(code) - 1 - uintptr_t(info.dli_fbase);
  const std::string command =
      fmt::format("addr2line -C -f -i -e '{}' {:#x} 2>/dev/null", info.dli_fname, offset);
  // NOLINTNEXTLINE(bugprone-command-processor): the loader gave the path, nobody else
  FILE *pipe = popen(command.c_str(), "r");
  if (!pipe)
    return result;
  char function[1024], place[1024];
  while (fgets(function, sizeof function, pipe) && fgets(place, sizeof place, pipe)) {
    std::string name = function, file = place;
    name = name.substr(0, name.find_first_of("<(\n"));
    file = file.substr(0, file.find_first_of(" \n"));
    result.emplace_back(baseName(name), file);
  }
  pclose(pipe);
  return result;
}

} // namespace

std::string describeSite(const void *site) {
  static std::map<const void *, std::string> known;
  const auto found = known.find(site);
  if (found != known.end())
    return found->second;
  std::string text;
  for (const auto &[function, place] : frames(site)) {
    if (place.starts_with("?"))
      break;
    text = fmt::format("{} ({})", baseName(place), function);
    if (place.find("/ptx/") == std::string::npos)
      break;
  }
  return known[site] = text;
}

void sitesStart() { recorder = std::make_unique<Recorder>(); }
bool sitesEnabled() { return recorder != nullptr; }

void sitesRecord(const Thread &thread, const void *address, size_t bytes, bool isShared,
                 bool isWrite, const void *code) {
  const Site site = {code, bytes, isShared, isWrite};
  const uint64_t execution = recorder->executions[{site, thread.id}]++;
  const auto key = std::tuple(site, thread.id / 32, execution);
  Request &request = recorder->requests[key];
  request.push_back(uint64_t(reinterpret_cast<uintptr_t>(address)));
  if (request.size() < 32)
    return;
  close(site, request);
  recorder->requests.erase(key);
}

void sitesEndCluster() {
  for (const auto &[key, request] : recorder->requests)
    close(std::get<0>(key), request);
  recorder->requests.clear();
  recorder->executions.clear();
}

std::string sitesReport() {
  std::vector<std::pair<Site, Totals>> sites(recorder->totals.begin(), recorder->totals.end());
  recorder.reset();
  const auto waste = [](const Totals &t) { return t.units - std::min(t.units, t.ideal); };
  std::stable_sort(sites.begin(), sites.end(),
                   [&](const auto &a, const auto &b) { return waste(a.second) > waste(b.second); });
  std::string text = fmt::format("{:<52} {:<13} {:>5} {:>9} {:>11} {:>9}\n", "site", "access",
                                 "bytes", "requests", "per request", "at best");
  for (const auto &[site, totals] : sites)
    text += fmt::format(
        "{:<52} {:<13} {:>5} {:>9} {:>11.2f} {:>9.2f}\n", describeSite(site.code),
        fmt::format("{} {}", site.isWrite ? "store" : "load", site.isShared ? "shared" : "global"),
        site.bytes, totals.requests, double(totals.units) / double(totals.requests),
        double(totals.ideal) / double(totals.requests));
  return text;
}

} // namespace gptqc::sim
