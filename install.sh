#!/bin/sh
# Installs talosctl-oidc from its releases.
#
#   curl -fsSL https://raw.githubusercontent.com/qjoly/talosctl-oidc/main/install.sh | sh
#
#   VERSION       tag to install, such as v0.1.0; default: the latest release
#   INSTALL_DIR   where to; default: /usr/local/bin, or ~/.local/bin where that is not writable
#   BINARY_NAME   name to install under; default: talosctl-oidc
#   RELEASES_URL  where releases are; default: the project's on GitHub. A mirror has the same
#                 layout: latest/download/FILE and download/TAG/FILE
#
# Nothing is installed whose SHA-256 is not in the release's checksums.txt.
# INSECURE_SKIP_CHECKSUM=yes installs it all the same.
set -eu

fail() {
  echo "install.sh: $*" >&2
  exit 1
}

has() { command -v "$1" > /dev/null 2>&1; }

system() {
  case "$(uname -s)" in
    Linux) echo linux ;;
    Darwin) echo darwin ;;
    MINGW* | MSYS* | CYGWIN*) echo windows ;;
    *) fail "no release for $(uname -s): build it with cargo" ;;
  esac
}

machine() {
  case "$(uname -m)" in
    x86_64 | amd64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) fail "no release for $(uname -m): build it with cargo" ;;
  esac
}

# Only https, unless the caller named another place.
download() {
  case "$releases" in
    https://*) protocols='=https' ;;
    *) protocols='=http,https,file' ;;
  esac
  curl -fsSL --proto "$protocols" --retry 2 -o "$2" "$1"
}

sha256() {
  if has sha256sum; then
    sha256sum < "$1" | cut -d ' ' -f 1
  elif has shasum; then
    shasum -a 256 < "$1" | cut -d ' ' -f 1
  elif has openssl; then
    openssl dgst -sha256 < "$1" | sed 's/.*= *//'
  else
    fail "sha256sum, shasum or openssl is needed to check the download"
  fi
}

# The one line of checksums.txt that is about this file.
expected_sha256() {
  awk -v name="$1" '
    { file = $2; sub(/^\*/, "", file) }
    file == name { hash = tolower($1); count++ }
    END { if (count == 1 && length(hash) == 64 && hash !~ /[^0-9a-f]/) print hash }' "$2"
}

verify() {
  if [ "${INSECURE_SKIP_CHECKSUM:-}" = yes ]; then
    echo "WARNING: the download is not checked, as INSECURE_SKIP_CHECKSUM=yes is set" >&2
    return
  fi
  download "$from/checksums.txt" "$work/checksums.txt" \
    || fail "no checksums.txt at $from, so the download cannot be checked; nothing was installed"
  expected=$(expected_sha256 "$asset" "$work/checksums.txt")
  [ -n "$expected" ] \
    || fail "checksums.txt has no entry for $asset, so it cannot be checked; nothing was installed"
  found=$(sha256 "$work/$asset")
  [ "$found" = "$expected" ] \
    || fail "SHA-256 of $asset is $found, but $expected was expected; nothing was installed"
  echo "SHA-256 is $found, as expected"
}

directory() {
  if [ -n "${INSTALL_DIR:-}" ]; then
    echo "$INSTALL_DIR"
  elif [ -d /usr/local/bin ] && [ -w /usr/local/bin ]; then
    echo /usr/local/bin
  else
    echo "${HOME:?HOME is not set: set INSTALL_DIR}/.local/bin"
  fi
}

main() {
  has curl || fail "curl is needed"
  os=$(system)
  arch=$(machine)
  extension=
  [ "$os" != windows ] || extension=.exe
  asset="talosctl-oidc-$os-$arch$extension"
  releases=${RELEASES_URL:-https://github.com/qjoly/talosctl-oidc/releases}
  from="$releases/latest/download"
  [ "${VERSION:-latest}" = latest ] || from="$releases/download/$VERSION"

  work=$(mktemp -d)
  new=
  trap 'rm -rf "$work"; [ -z "$new" ] || rm -f "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  echo "fetching $from/$asset"
  download "$from/$asset" "$work/$asset" || fail "there is no $asset at $from"
  verify

  target=$(directory)
  mkdir -p "$target" || fail "$target cannot be made: set INSTALL_DIR"
  name="${BINARY_NAME:-talosctl-oidc}$extension"
  # Beside its place, so that it gets there whole, and where programs may run.
  new="$target/.$name.$$"
  cp "$work/$asset" "$new" || fail "$target is not writable: set INSTALL_DIR"
  chmod 755 "$new"
  version=$("$new" version) || fail "$asset does not run on this machine; nothing was installed"
  mv -f "$new" "$target/$name"
  new=
  echo "$version"
  echo "installed as $target/$name"
  case ":$PATH:" in
    *":$target:"*) ;;
    *) echo "add $target to your PATH to call it as $name" ;;
  esac
}

# At the end, so that a download cut short runs nothing.
main
