# shellcheck shell=bash
# Sourced by scripts/test and scripts/servers: how missing tools get onto the machine.

# Debian puts server programs into sbin, which is not on every user's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/otc-im"

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

have() {
  local program
  for program; do command -v "$program" >/dev/null || return 1; done
}

# Runs a command and shows what it printed only if it fails.
quietly() {
  local out rc=0
  out=$("$@" 2>&1 </dev/null) || rc=$?
  ((rc == 0)) || printf '%s\n' "$out" >&2
  return "$rc"
}

apt_install() {
  local as=()
  have apt-get || die "missing here, and there is no apt-get to install it: $*"
  if ((EUID != 0)); then
    have sudo || die "installing $* needs root, and there is no sudo; install it as root once"
    as=(sudo -n)
    [[ -t 0 ]] && as=(sudo)
  fi
  as+=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  quietly "${as[@]}" update || die "apt-get update failed, so $* cannot be installed"
  quietly "${as[@]}" install --yes --no-install-recommends "$@" || die "apt-get could not install $*"
}

# pip_cached NAME==VERSION: unpacks that PyPI package and what it needs into a directory of its own in
# the cache, once, and leaves the directory's path in $pip_dir. The finished directory is moved into
# place, so an interrupted or a concurrent run never leaves half of one. Wheels only: installing runs
# no code of the package.
pip_cached() {
  pip_dir="$cache/${1//==/-}"
  [[ ! -d $pip_dir ]] || return 0
  python3 -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
  mkdir -p "$cache"
  local new
  new=$(mktemp -d "$cache/new.XXXXXX")
  if ! quietly python3 -m pip install --quiet --no-cache-dir --only-binary :all: --target "$new/it" "$1"; then
    rm -rf "$new"
    return 1
  fi
  mv -T "$new/it" "$pip_dir" 2>/dev/null || [[ -d $pip_dir ]] # another run was faster
  rm -rf "$new"
}

# npm_install DIR: puts what DIR/package.json names into DIR/node_modules, unless it is there. Runs no code of it.
npm_install() {
  npm --prefix "$1" ls >/dev/null 2>&1 ||
    quietly npm --prefix "$1" install --ignore-scripts --no-package-lock --no-audit --no-fund ||
    die "npm could not install what $1/package.json names"
}

# cargo_tool NAME VERSION: leaves the path of cargo-NAME in $tool. Prebuilt from PyPI in seconds;
# compiled, which takes minutes, only where there is no wheel for the platform.
cargo_tool() {
  if pip_cached "astral-dev-toolchain-cargo-$1==$2"; then
    tool="$pip_dir/bin/cargo-$1"
  else
    tool="$cache/cargo-$1-$2/bin/cargo-$1"
    [[ -x $tool ]] || quietly cargo install --locked --version "$2" --root "$cache/cargo-$1-$2" "cargo-$1" ||
      die "cargo-$1 $2 could be installed neither from PyPI nor with cargo install"
  fi
  quietly "$tool" --version || die "cargo-$1 in the cache ($tool) does not run here"
}
