// SVG writer for roofline plots.
#include "cli/bench/RooflineSvg.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "cli/bench/Markup.h"

namespace gptqc::cli {
namespace {

constexpr double kWidth = 1100, kHeight = 640;
constexpr double kLeft = 70, kRight = 250, kTop = 50, kBottom = 60; // margins; the legend is right
constexpr const char *kColors[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e",
                                   "#8c564b", "#e377c2", "#17becf", "#7f7f7f", "#bcbd22"};

bool isDrawable(const RooflinePoint &point) {
  return std::isfinite(point.intensity) && std::isfinite(point.teraflops) && point.intensity > 0 &&
         point.teraflops > 0;
}

/// Whole decades around some values, as exponents of ten.
struct Range {
  double low = 0, high = 1;

  static Range around(const std::vector<double> &values) {
    Range range;
    if (values.empty())
      return range;
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    range.low = std::floor(std::log10(*low));
    range.high = std::max(range.low + 1, std::ceil(std::log10(*high)));
    return range;
  }
};

class Canvas {
public:
  explicit Canvas(const RooflinePlot &source) : plot(source) {
    std::vector<double> intensities, rates;
    for (const RooflinePoint &point : plot.points) {
      if (!isDrawable(point))
        continue;
      points.push_back(&point);
      intensities.push_back(point.intensity);
      rates.push_back(point.teraflops);
      if (std::find(series.begin(), series.end(), point.series) == series.end())
        series.push_back(point.series);
    }
    if (plot.peakTeraflops > 0)
      rates.push_back(plot.peakTeraflops);
    if (plot.peakTeraflops > 0 && plot.terabytesPerSecond > 0)
      intensities.push_back(plot.peakTeraflops / plot.terabytesPerSecond); // the ridge
    horizontal = Range::around(intensities);
    vertical = Range::around(rates);
  }

  std::string draw() {
    text = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
                       "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
                       "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
                       "<text x=\"{2}\" y=\"28\" font-size=\"15\">{3}</text>\n",
                       kWidth, kHeight, kLeft, escapeMarkup(plot.title));
    drawGrid();
    drawRoofs();
    for (const RooflinePoint *point : points)
      drawPoint(*point);
    drawLegend();
    return text + "</svg>\n";
  }

private:
  double xOf(double intensity) const {
    return kLeft + (std::log10(intensity) - horizontal.low) / (horizontal.high - horizontal.low) *
                       (kWidth - kLeft - kRight);
  }
  double yOf(double rate) const {
    return kHeight - kBottom -
           (std::log10(rate) - vertical.low) / (vertical.high - vertical.low) *
               (kHeight - kTop - kBottom);
  }
  const char *colorOf(const std::string &name) const {
    const auto found = std::find(series.begin(), series.end(), name);
    return kColors[size_t(found - series.begin()) % std::size(kColors)];
  }

  void line(double x1, double y1, double x2, double y2, const char *style) {
    text += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1,
                        y1, x2, y2, style);
  }

  void label(double x, double y, const char *anchor, const std::string &content) {
    text += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
                        anchor, escapeMarkup(content));
  }

  void drawGrid() {
    const double bottom = kHeight - kBottom, right = kWidth - kRight;
    for (int e = int(horizontal.low); e <= int(horizontal.high); ++e) { // low and high are whole
      const double x = xOf(std::pow(10, e));
      line(x, kTop, x, bottom, "stroke=\"#ddd\"");
      label(x, bottom + 18, "middle", fmt::format("{:g}", std::pow(10, e)));
    }
    for (int e = int(vertical.low); e <= int(vertical.high); ++e) { // low and high are whole
      const double y = yOf(std::pow(10, e));
      line(kLeft, y, right, y, "stroke=\"#ddd\"");
      label(kLeft - 8, y + 4, "end", fmt::format("{:g}", std::pow(10, e)));
    }
    label((kLeft + right) / 2, kHeight - 18, "middle", "operations per byte");
    label(kLeft - 50, kTop - 8, "start", "TFLOP/s");
  }

  void drawRoofs() {
    const double first = std::pow(10, horizontal.low), last = std::pow(10, horizontal.high);
    const double lowest = std::pow(10, vertical.low), highest = std::pow(10, vertical.high);
    const double peak = plot.peakTeraflops, bandwidth = plot.terabytesPerSecond;
    constexpr const char *kRoof = "stroke=\"black\" stroke-width=\"1.5\" class=\"roof\"";
    const double ridge = peak > 0 && bandwidth > 0 ? peak / bandwidth : 0;
    if (bandwidth > 0) {
      const double start = std::max(first, lowest / bandwidth);
      const double end = std::min(ridge > 0 ? ridge : last, highest / bandwidth);
      line(xOf(start), yOf(start * bandwidth), xOf(end), yOf(end * bandwidth), kRoof);
      label(xOf(start) + 6, yOf(start * bandwidth) - 14, "start",
            fmt::format("{:.2f} TB/s", bandwidth));
    }
    if (peak > 0) {
      line(xOf(std::max(first, ridge)), yOf(peak), xOf(last), yOf(peak), kRoof);
      label(xOf(last) - 4, yOf(peak) - 6, "end", fmt::format("{:.0f} TFLOP/s", peak));
    }
  }

  void drawPoint(const RooflinePoint &point) {
    const double x = xOf(point.intensity), y = yOf(point.teraflops);
    const char *color = colorOf(point.series);
    text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\">"
                        "<title>{}</title></circle>\n",
                        x, y, point.reference ? "none" : color, color, escapeMarkup(point.note));
    if (!point.reference)
      text += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"8\" fill=\"{}\">{}</text>\n",
                          x + 6, y + 3, color, escapeMarkup(point.label));
  }

  void drawLegend() {
    double y = kTop + 6;
    const double x = kWidth - kRight + 20;
    for (const std::string &name : series) {
      text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n", x, y - 4,
                          colorOf(name));
      label(x + 10, y, "start", name);
      y += 18;
    }
    if (std::any_of(points.begin(), points.end(), [](auto *point) { return point->reference; }))
      label(x - 4, y, "start", "hollow: cuBLASLt, dense 16-bit");
  }

  const RooflinePlot &plot;
  std::vector<const RooflinePoint *> points;
  std::vector<std::string> series;
  Range horizontal, vertical;
  std::string text;
};

} // namespace

std::string rooflineSvg(const RooflinePlot &plot) { return Canvas(plot).draw(); }

} // namespace gptqc::cli
