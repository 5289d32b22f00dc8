#!/bin/sh
# Run a program of a Debian package that is unpacked and not installed (they exclude each other), with the users and the
# folders that are compiled into it, in a mount namespace of its own: outside of it nothing changes. Only root may.
#
#   in_namespace.sh DATA USERS PROGRAM [ARGUMENT...]
#
# DATA/spool becomes /var/spool, DATA/lib becomes /var/lib, /run is empty; USERS are users that are there ("name:id ...").
set -eu
if [ "${PYMTA_IN_NAMESPACE:-}" != yes ]; then
    PYMTA_IN_NAMESPACE=yes exec unshare --mount --propagation private "$0" "$@"
fi
data=$1 users=$2
shift 2
cp /etc/passwd "$data/passwd"
cp /etc/group "$data/group"
for user in $users; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/nonexistent:/usr/sbin/nologin" >> "$data/passwd"
    echo "${user%:*}:x:${user#*:}:" >> "$data/group"
done
mount --bind "$data/passwd" /etc/passwd
mount --bind "$data/group" /etc/group
mount --bind "$data/spool" /var/spool
mount --bind "$data/lib" /var/lib
mount -t tmpfs tmpfs /run
exec "$@"
