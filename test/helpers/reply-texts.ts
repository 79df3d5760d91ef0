/** Replies that the protocol documents give, by codec. */
export const REPLY_TEXTS: Readonly<Record<string, readonly string[]>> = {
  teltonika: [
    'Ver:03.25.14_00 GPS:AXN_5.10 Hw:FMB920 Mod:13 IMEI:356307042441013 Init:2020-1-1 Uptime:5 MAC:001122334455',
    'GPS:1 Sat:7 Lat:54.71473 Long:25.30304 Alt:147 Speed:0 Dir:77 Date: 2007/8/24 Time: 13:4:36',
    'INI:2019/7/22 7:22 RTC:2019/7/22 7:53 RST:2 ERR:1 SR:29 BR:0 CF:0 FG:0 FL:0 SMS:0 NOGPS:0:10 GPS:3 SAT:16 RS:2 MD:0',
    'Data Link: 1 GPRS: 1 Phone: 0 SIM: 0 OP: 24602 Signal: 5 NewSMS: 0 Roaming: 0 SMSFull: 0 LAC: 1 Cell ID: 3055',
    'DI1:1 DI2:0 AIN1:0 AIN2:12000 DO1:0 DO2:1',
    'Param ID:13000 Value:fm.teltonika.lt;1000:300',
    'New value 2001:wap;2002:user;2003:pass',
    "Param ID:99999 doesn't exist",
    'WARNING: Not supported Param ID or Value detected',
    'DOUT1:ON Timeout:10s Speed threshold:1km/h DOUT2:Ignored',
  ],
  gt06: [
    'Battery:4.20V,NORMAL; GPRS:Link Up; GSM Signal Level:Strong; GPS:Successful positioning, SVS Used in fix:3(9), GPS Signal Level:38,26; ACC:ON; Defense:OFF',
    'IMEI:353419030000000;TIMER:20,20; SENDS:5; SOS:,,; Center Number:; Sensorset:10,1,5,1; Defense time:10; TimeZone:E,8,0;',
    'TIMER ACC ON:60s, ACC OFF:180s',
    'Current position! Lat:S23.525024,Lon:W46.679787,Course:263.28,Speed:0.00Km/h,DateTime:2021-10-29 11:11:43',
    'DWXX=Lat:N23d5.1708m,Lon:E114d23.6212m,Course:0.00,Speed:0.3518,DateTime:11-11-15  11:53:43',
    '[VERSION]NT06L_10 [BUILD]2019/07/22 10:00',
    'password is wrong! wrong password. Command error! Fail! invalid, not support, no permission',
    'Cut off the fuel supply: Delay! speed limit: 20 GPS not fixed, DYD=Unvalued Fix, Already in the state of fuel supply cut off',
    'MILEAGE:ON, Total Mileage:123km RELAY:1 ICCID:89860112345678901234',
  ],
  h02: ['S17,DONE', 'S23,203.0.113.5:5013', 'S32,1234.5', 'INFO,1,203.0.113.5,5013,30,a,b,cmnet,user,88', 'S20,ERROR'],
};
