// SPDX-License-Identifier: Apache-2.0
#include "app/local_images.h"

#include <algorithm>
#include <filesystem>

namespace jobmill::app {
namespace {

bool matches(std::string_view pattern, std::string_view text) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t at = star; at <= text.size(); ++at)
    if (matches(rest, text.substr(at))) return true;
  return false;
}

// The image without its tag or digest. A colon before the last slash belongs to a registry's port.
std::string_view without_tag(std::string_view image) {
  const auto digest = image.find('@');
  if (digest != std::string_view::npos) image = image.substr(0, digest);
  const auto colon = image.rfind(':');
  const auto slash = image.rfind('/');
  const bool tagged =
      colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  return tagged ? image.substr(0, colon) : image;
}

std::size_t literal_characters(std::string_view pattern) {
  return pattern.size() - static_cast<std::size_t>(std::ranges::count(pattern, '*'));
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (const char c : line) {
    if (quote != '\0') {
      if (c == quote)
        quote = '\0';
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != '\0')
    return fail(Code::InvalidArgument, "a quote is not closed in: " + std::string(line));
  if (in_word) words.push_back(std::move(word));
  return words;
}

Result<LocalImages> LocalImages::from(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  LocalImages images;
  for (const auto& [pattern, line] : entries) {
    LocalImage image{.off = line == "off", .pattern = pattern, .command = {}};
    if (!image.off) {
      TRY(image.command, split_words(line));
      if (image.command.empty())
        return fail(Code::InvalidArgument, "--image " + pattern + ": no command");
      std::string& program = image.command.front();
      if (program.find('/') != std::string::npos)
        program = std::filesystem::absolute(program).lexically_normal().string();
    }
    images.entries_.push_back(std::move(image));
  }
  return images;
}

std::optional<LocalImage> LocalImages::find(std::string_view image) const {
  const LocalImage* best = nullptr;
  for (const LocalImage& entry : entries_) {
    if (!matches(entry.pattern, image) && !matches(entry.pattern, without_tag(image))) continue;
    if (best == nullptr || literal_characters(entry.pattern) > literal_characters(best->pattern))
      best = &entry;
  }
  return best != nullptr ? std::optional(*best) : std::nullopt;
}

}  // namespace jobmill::app
