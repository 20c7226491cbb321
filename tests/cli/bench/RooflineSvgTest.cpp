// The SVG writer: points where they belong, text escaped, nothing invented.
#include "cli/bench/RooflineSvg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>

using namespace gptqc::cli;

namespace {

size_t count(const std::string &text, const std::string &what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++found;
  return found;
}

RooflinePoint point(double intensity, double teraflops) {
  return {"a", "m1", "note", intensity, teraflops, false};
}

/// Centres of the circles that carry a note, in order.
std::vector<std::pair<double, double>> centres(const std::string &svg) {
  std::vector<std::pair<double, double>> result;
  const std::regex circle("<circle cx=\"([0-9.]+)\" cy=\"([0-9.]+)\"[^>]*><title>");
  for (std::sregex_iterator i(svg.begin(), svg.end(), circle), end; i != end; ++i)
    result.emplace_back(std::stod((*i)[1]), std::stod((*i)[2]));
  return result;
}

} // namespace

TEST(RooflineSvg, AxesAreLogarithmic) {
  RooflinePlot plot{"t", 0, 0, {point(1, 1), point(10, 10), point(100, 100)}};
  const auto found = centres(rooflineSvg(plot));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_NEAR(found[1].first - found[0].first, found[2].first - found[1].first, 0.2);
  EXPECT_NEAR(found[0].second - found[1].second, found[1].second - found[2].second, 0.2);
  EXPECT_GT(found[1].first, found[0].first);
  EXPECT_LT(found[1].second, found[0].second); // faster is higher
}

TEST(RooflineSvg, RoofsMeetAtTheRidge) {
  RooflinePlot plot{"t", 4.65, 757, {point(4, 10), point(2000, 600)}};
  const std::string svg = rooflineSvg(plot);
  EXPECT_EQ(count(svg, "class=\"roof\""), 2u);
  EXPECT_NE(svg.find("4.65 TB/s"), std::string::npos);
  EXPECT_NE(svg.find("757 TFLOP/s"), std::string::npos);
  const std::regex roof(
      "x1=\"([0-9.]+)\" y1=\"([0-9.]+)\" x2=\"([0-9.]+)\" y2=\"([0-9.]+)\"[^>]*roof");
  std::sregex_iterator i(svg.begin(), svg.end(), roof);
  const std::smatch memory = *i++, compute = *i;
  EXPECT_EQ(memory[3], compute[1]);
  EXPECT_EQ(memory[4], compute[2]);
  EXPECT_EQ(compute[2], compute[4]); // flat
}

TEST(RooflineSvg, LeavesOutWhatCannotBeDrawn) {
  RooflinePlot plot{"t",
                    0,
                    0,
                    {point(1, 1), point(0, 1), point(1, -2), point(NAN, 1),
                     point(1, std::numeric_limits<double>::infinity())}};
  EXPECT_EQ(centres(rooflineSvg(plot)).size(), 1u);
  EXPECT_EQ(centres(rooflineSvg({"empty", 0, 0, {}})).size(), 0u);
}

TEST(RooflineSvg, EscapesText) {
  RooflinePoint hostile{"a<b", "\"m\"", "x & y\n", 1, 1, false};
  const std::string svg = rooflineSvg({"<title> & co", 0, 0, {hostile}});
  EXPECT_NE(svg.find("&lt;title&gt; &amp; co"), std::string::npos);
  EXPECT_NE(svg.find("a&lt;b"), std::string::npos);
  EXPECT_NE(svg.find("<title>x &amp; y</title>"), std::string::npos);
  EXPECT_EQ(count(svg, "<svg"), 1u);
  EXPECT_EQ(count(svg, "</svg>"), 1u);
}

TEST(RooflineSvg, SeriesShareAColourAndReferencesAreHollow) {
  RooflinePoint a = point(1, 1), b = point(2, 2), c = point(3, 3);
  b.series = "b";
  c.reference = true;
  const std::string svg = rooflineSvg({"t", 0, 0, {a, b, c}});
  EXPECT_EQ(count(svg, "fill=\"none\""), 1u);
  EXPECT_NE(svg.find("hollow: cuBLASLt"), std::string::npos);
  EXPECT_EQ(count(svg, ">b</text>"), 1u);
  EXPECT_EQ(rooflineSvg({"t", 0, 0, {a, b, c}}), svg); // deterministic
}
