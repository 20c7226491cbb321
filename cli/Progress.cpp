// Draws at most ten times a second, so that many small items cost nothing.
#include "cli/Progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace gptqc::cli {

Progress::Progress(std::string label, int64_t total)
    : label(std::move(label)), total(total), terminal(::isatty(STDERR_FILENO) == 1),
      start(Clock::now()), lastDraw(start) {}

Progress::~Progress() {
  if (drawn)
    std::fputs("\r\033[K", stderr);
}

void Progress::step(std::string_view item) {
  const std::lock_guard lock(mutex);
  ++done;
  const Clock::time_point now = Clock::now();
  const auto interval = terminal ? std::chrono::milliseconds(100) : std::chrono::seconds(5);
  if (done < total && now - lastDraw < interval)
    return;
  lastDraw = now;
  draw(item, std::chrono::duration<double>(now - start).count());
}

void Progress::line(std::string_view text) {
  const std::lock_guard lock(mutex);
  if (drawn) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    drawn = false;
  }
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Progress::draw(std::string_view item, double elapsed) {
  const double share = total > 0 ? double(done) / double(total) : 1;
  if (done >= total) {
    fmt::print(stderr, "{}{}: {} of {} done in {}\n", drawn ? "\r\033[K" : "", label, done, total,
               formatSeconds(elapsed));
    drawn = false;
    return;
  }
  const std::string left = formatSeconds(elapsed / share - elapsed);
  if (!terminal) {
    fmt::print(stderr, "{}: {} of {} ({:.0f} %), about {} left\n", label, done, total, share * 100,
               left);
    return;
  }
  constexpr int kWidth = 24;
  const int filled = int(share * kWidth);
  fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {}/{} {} left  {:.40}", label, "", filled, "",
             kWidth - filled, done, total, left, item);
  std::fflush(stderr);
  drawn = true;
}

std::string formatSeconds(double seconds) {
  if (seconds < 1)
    return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 100)
    return fmt::format("{:.1f} s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600)
    return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string formatBytes(int64_t bytes) {
  static constexpr const char *kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  double value = double(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

} // namespace gptqc::cli
