#!/bin/sh
# A network plugin that leaves a trace: every pod gets an address, on paper.
name=$(sed -n 's/.*"name":"\([^"]*\)".*/\1/p')
case $CNI_COMMAND in
ADD)
  echo "$0, network $name" >>/run/replay/networks
  echo '{"cniVersion":"0.4.0","interfaces":[{"name":"'"$CNI_IFNAME"'","sandbox":"'"$CNI_NETNS"'"}],"ips":[{"version":"4","interface":0,"address":"10.0.0.2/24"}]}'
  ;;
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.4.0"]}' ;;
esac
