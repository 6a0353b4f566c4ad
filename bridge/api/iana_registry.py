"""What IANA has assigned to multicast: the blocks and the addresses that a user of ours can meet, as plain tables.

From the IPv4 Multicast Address Space Registry (RFC 5771) and the IPv6 Multicast Address Space Registry (RFC 4291,
RFC 7346), as of REGISTRY_DATE. 224.0.0.0/24 and ff02:: are complete; of the larger blocks the widely used ones are here.
"""

REGISTRY_DATE = "2026-06-26"

# first, last, name, scope, whether routers forward it
IPV4_BLOCKS = """
224.0.0.0   224.0.0.255     Local Network Control Block (224.0.0.0/24)     | link         | no
224.0.1.0   224.0.1.255     Internetwork Control Block (224.0.1.0/24)      | global       | yes
224.0.2.0   224.0.255.255   AD-HOC Block I                                 | global       | yes
224.1.0.0   224.1.255.255   reserved (224.1.0.0/16)                        | undefined    | yes
224.2.0.0   224.2.255.255   SDP/SAP Block (224.2.0.0/16)                   | global       | yes
224.3.0.0   224.4.255.255   AD-HOC Block II                                | global       | yes
224.5.0.0   224.251.255.255 reserved (224.5.0.0 to 224.251.255.255)        | undefined    | yes
224.252.0.0 224.255.255.255 DIS Transient Groups (224.252.0.0/14)          | global       | yes
225.0.0.0   231.255.255.255 reserved (225.0.0.0 to 231.255.255.255)        | undefined    | yes
232.0.0.0   232.255.255.255 Source-Specific Multicast (232.0.0.0/8)        | global       | yes
233.0.0.0   233.251.255.255 GLOP Block (233.0.0.0/8)                       | global       | yes
233.252.0.0 233.255.255.255 AD-HOC Block III (233.252.0.0/14)              | global       | yes
234.0.0.0   234.255.255.255 Unicast-Prefix-based (234.0.0.0/8)             | global       | yes
235.0.0.0   238.255.255.255 reserved (235.0.0.0 to 238.255.255.255)        | undefined    | yes
239.0.0.0   239.191.255.255 Administratively Scoped (239.0.0.0/8)          | organisation | within
239.192.0.0 239.195.255.255 Organisation-Local Scope (239.192.0.0/14)      | organisation | within
239.196.0.0 239.254.255.255 Administratively Scoped (239.0.0.0/8)          | organisation | within
239.255.0.0 239.255.255.255 Site-Local Scope (239.255.0.0/16)              | site         | within
"""

# address or range, then the name
IPV4_CONTROL = """
224.0.0.0 base address (reserved)
224.0.0.1 all systems on this subnet
224.0.0.2 all routers on this subnet
224.0.0.4 DVMRP routers
224.0.0.5 OSPF, all routers
224.0.0.6 OSPF, designated routers
224.0.0.7 ST routers
224.0.0.8 ST hosts
224.0.0.9 RIP2 routers
224.0.0.10 EIGRP routers
224.0.0.11 Mobile-Agents
224.0.0.12 DHCP server / relay agent
224.0.0.13 all PIM routers
224.0.0.14 RSVP-ENCAPSULATION
224.0.0.15 all-cbt-routers
224.0.0.16 designated-sbm
224.0.0.17 all-sbms
224.0.0.18 VRRP
224.0.0.19 IPAllL1ISs (IS-IS)
224.0.0.20 IPAllL2ISs (IS-IS)
224.0.0.21 IPAllIntermediate Systems (IS-IS)
224.0.0.22 IGMP
224.0.0.23 GLOBECAST-ID
224.0.0.24 OSPFIGP-TE
224.0.0.25 router-to-switch
224.0.0.27 Al MPP Hello
224.0.0.28 ETC Control
224.0.0.29 GE-FANUC
224.0.0.30 indigo-vhdp
224.0.0.31 shinbroadband
224.0.0.32 digistar
224.0.0.33 ff-system-management
224.0.0.34 pt2-discover
224.0.0.35 DXCLUSTER
224.0.0.36 DTCP Announcement
224.0.0.37-224.0.0.68 zeroconfaddr
224.0.0.69 all-AODV-RPL-nodes
224.0.0.101 cisco-nhap
224.0.0.102 HSRP
224.0.0.103 MDAP
224.0.0.104 Nokia MC CH
224.0.0.105 ff-lr-address
224.0.0.106 All-Snoopers
224.0.0.107 PTP-pdelay (IEEE 1588)
224.0.0.108 Saratoga
224.0.0.109 LL-MANET-Routers
224.0.0.110 IGRS
224.0.0.111 Babel
224.0.0.112 MMA Device Discovery
224.0.0.113 AllJoyn
224.0.0.114 Inter RFID Reader Protocol
224.0.0.115 JSDP
224.0.0.116 device discovery/config
224.0.0.117 DLEP Discovery
224.0.0.118 MAAS
224.0.0.119 ALL_GRASP_NEIGHBORS
224.0.0.120 3GPP MBMS SACH
224.0.0.121 ALL_V4_RIFT_ROUTERS
224.0.0.122 NVO BUM traffic
224.0.0.150 Ramp AltitudeCDN MulticastPlus
224.0.0.152 WiseHome
224.0.0.251 mDNS
224.0.0.252 LLMNR
224.0.0.253 Teredo
224.0.0.254 RFC 3692-style experiment
224.0.1.1 NTP
224.0.1.3 Rwhod
224.0.1.20 any private experiment
224.0.1.22 SVRLOC
224.0.1.24 microsoft-ds
224.0.1.35 SVRLOC-DA
224.0.1.39 cisco-rp-announce
224.0.1.40 cisco-rp-discovery
224.0.1.41 H.323 gatekeeper
224.0.1.68 mdhcpdiscover
224.0.1.75 SIP
224.0.1.78-224.0.1.79 TIBCO Multicast
224.0.1.84 jini-announcement
224.0.1.85 jini-request
224.0.1.91-224.0.1.110 Nasdaq Inc.
224.0.1.129 PTP-primary (IEEE 1588)
224.0.1.130 PTP-alternate1 (IEEE 1588)
224.0.1.131 PTP-alternate2 (IEEE 1588)
224.0.1.132 PTP-alternate3 (IEEE 1588)
224.0.1.140 capwap-ac
224.0.1.141 DHCP-SERVERS
224.0.1.143 EMWIN
224.0.1.178 IEEE IAPP
224.0.1.187 all CoAP nodes
224.0.1.190 all CoRE resource directories
224.2.127.254 SAPv1 announcements
224.2.127.255 SAPv0 announcements (deprecated)
239.255.255.245 MCAST-TEST-NET-2 (documentation)
239.255.255.246 UPnP (relative 9)
239.255.255.247 MBUS
239.255.255.248 AAP
239.255.255.249 DHCPv4
239.255.255.250 SSDP (UPnP discovery)
239.255.255.251 Multicast Discovery of DNS Services
239.255.255.252 MZAP
239.255.255.253 SLPv2 Discovery
239.255.255.254 MADCAP
239.255.255.255 SAP Session Announcement Protocol
"""

# Assigned to an organisation for its own traffic: whoever receives it means to.
IPV4_ORGANISATIONS = """
224.0.2.14 OPC Discovery
224.0.2.64-224.0.2.95 Intercontinental Exchange, Inc.
224.0.2.192-224.0.2.255 Intercontinental Exchange, Inc.
224.0.5.128-224.0.5.255 Intercontinental Exchange, Inc.
224.0.18.0-224.0.18.255 Dow Jones
224.0.19.96-224.0.19.127 Intercontinental Exchange, Inc.
224.0.23.0 ECHONET
224.0.23.12 KNXnet/IP
224.0.23.34-224.0.23.41 AF (ActiveFinancial)
224.0.23.52 Intercontinental Exchange, Inc.
224.0.23.55-224.0.23.58 noaaport
224.0.23.159 LXI-EVENT
224.4.0.0-224.4.6.255 London Stock Exchange Group
224.4.7.0-224.4.7.255 Cboe
224.4.8.0-224.4.9.255 Nasdaq Inc.
224.4.10.0-224.4.23.255 London Stock Exchange Group
224.4.34.0-224.4.39.255 MIAX
224.4.40.0-224.4.43.255 Japan Exchange Group
224.4.44.0-224.4.47.255 CME Group
224.4.48.0-224.4.63.255 Intercontinental Exchange, Inc.
224.4.64.0-224.4.71.255 CME Group
224.4.80.0-224.4.84.255 Cboe
224.4.88.0-224.4.95.255 CME Group
233.252.0.0-233.252.0.255 MCAST-TEST-NET (documentation)
233.252.8.0-233.252.11.255 B3 (BVMF) market data
233.252.14.0-233.252.17.255 B3 (BVMF) market data
"""

# ff0X: with the flags 0 (assigned by IANA) in every scope, or in the one scope that is written
IPV6_ASSIGNED = """
ff01::1 all nodes
ff01::2 all routers
ff02::1 all nodes
ff02::2 all routers
ff02::4 DVMRP routers
ff02::5 OSPF
ff02::6 OSPF, designated routers
ff02::7 ST routers
ff02::8 ST hosts
ff02::9 RIP routers
ff02::a EIGRP routers
ff02::b Mobile-Agents
ff02::d all PIM routers
ff02::e RSVP-ENCAPSULATION
ff02::f UPnP
ff02::10 All-BBF-Access-Nodes
ff02::11 All-Homenet-Nodes
ff02::12 VRRP
ff02::13 ALL_GRASP_NEIGHBORS
ff02::14 NVO BUM traffic
ff02::16 all MLDv2-capable routers
ff02::1a all-RPL-nodes
ff02::6a All-Snoopers
ff02::6b PTP-pdelay (IEEE 1588)
ff02::6c Saratoga
ff02::6d LL-MANET-Routers
ff02::6e IGRS
ff02::6f iADT Discovery
ff02::a1f7 ALL_V6_RIFT_ROUTERS
ff02::1:1 Link Name
ff02::1:2 all DHCP relay agents and servers
ff02::1:3 LLMNR
ff02::1:4 DTCP Announcement
ff02::1:5 afore_vdp
ff02::1:6 Babel
ff02::1:7 DLEP Discovery
ff02::1:ff00:0-ff02::1:ffff:ffff solicited-node address
ff02::2:ff00:0-ff02::2:ffff:ffff node information queries
ff05::2 all routers
ff05::1:3 all DHCP servers
ff05::1:5 SL-MANET-ROUTERS
ff00:: reserved
ff00::c SSDP
ff00::fa Matter
ff00::fb mDNSv6
ff00::fc ALL_MPL_FORWARDERS
ff00::fd all CoAP nodes
ff00::fe all CoRE resource directories
ff00::101 NTP
ff00::114 any private experiment
ff00::116 SVRLOC
ff00::130 UPnP
ff00::13a AllJoyn
ff00::181 PTP-primary (IEEE 1588)
ff00::182 PTP-alternate1 (IEEE 1588)
ff00::183 PTP-alternate2 (IEEE 1588)
ff00::184 PTP-alternate3 (IEEE 1588)
ff00::db8:0:0-ff00::db8:ffff:ffff documentation (RFC 6676)
"""

IPV6_SCOPES = {
    0x0: "reserved",
    0x1: "interface",
    0x2: "link",
    0x3: "realm",
    0x4: "admin",
    0x5: "site",
    0x8: "organisation",
    0xE: "global",
    0xF: "reserved",
}
"""RFC 7346; the others are unassigned and left to administrators."""
