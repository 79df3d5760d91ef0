/**
 * Standard attribute names: one name for one thing, whatever the protocol.
 *
 * 1. `snake_case`; the unit is part of the name; a boolean is true or false, never 0 or 1.
 * 2. A codec whose protocol has a value listed here uses this name, type and unit. A value that is not listed keeps the
 *    vendor's own name in snake_case, without a claim about its unit beyond the vendor's.
 * 3. `<n>` stands for a number from 1 on: sensors, lines and tags in the device's order.
 * 4. Adding a name is adding a row. Two rows never mean the same thing.
 *
 * Fields of the record itself (time, lat, lon, altitude_m, speed_kmh, course_deg, satellites, hdop, event, cells, wifi) are not here.
 */
export interface Term {
  readonly name: string;
  readonly type: 'number' | 'boolean' | 'text';
  /** '' for counts, ratios, codes, booleans and texts. */
  readonly unit: string;
  readonly meaning: string;
}

export const VOCABULARY: readonly Term[] = [
  { name: 'ignition', type: 'boolean', unit: '', meaning: 'ignition or ACC line is on' },
  { name: 'motion', type: 'boolean', unit: '', meaning: "the device's own movement detection" },
  { name: 'charging', type: 'boolean', unit: '', meaning: 'external power is charging the device' },
  { name: 'armed', type: 'boolean', unit: '', meaning: 'alarm is armed' },
  { name: 'blocked', type: 'boolean', unit: '', meaning: 'engine or fuel cut is active' },
  { name: 'canary', type: 'boolean', unit: '', meaning: 'the record is of the synthetic device by which the server watches itself' },
  { name: 'door', type: 'boolean', unit: '', meaning: 'any door is open' },

  { name: 'external_v', type: 'number', unit: 'V', meaning: 'vehicle supply' },
  { name: 'battery_v', type: 'number', unit: 'V', meaning: 'internal battery' },
  { name: 'battery_current_a', type: 'number', unit: 'A', meaning: 'current of the internal battery' },
  { name: 'battery_pct', type: 'number', unit: '%', meaning: 'level of the internal battery, 0 to 100' },

  { name: 'gsm_level', type: 'number', unit: '', meaning: 'bars as the device reports them, 0 to 5' },
  { name: 'gsm_csq', type: 'number', unit: '', meaning: 'signal quality index of the modem, 0 to 31' },
  { name: 'gsm_dbm', type: 'number', unit: 'dBm', meaning: 'received signal strength' },
  { name: 'operator', type: 'text', unit: '', meaning: 'MCC and MNC of the serving network, joined' },
  { name: 'roaming', type: 'boolean', unit: '', meaning: 'registered in a foreign network' },

  { name: 'satellites_visible', type: 'number', unit: '', meaning: 'satellites in view, where that differs from those used' },
  { name: 'pdop', type: 'number', unit: '', meaning: 'position dilution of precision' },
  { name: 'vdop', type: 'number', unit: '', meaning: 'vertical dilution of precision' },
  { name: 'gnss_status', type: 'text', unit: '', meaning: 'off, no_fix, fix, 2d, 3d, sleep, …' },

  { name: 'odometer_m', type: 'number', unit: 'm', meaning: 'total distance' },
  {
    name: 'odometer_source',
    type: 'text',
    unit: '',
    meaning: 'whose odometer that is, if not the counter of the device: can, tachograph, obd',
  },
  { name: 'trip_m', type: 'number', unit: 'm', meaning: 'distance of the current trip' },
  { name: 'engine_hours_s', type: 'number', unit: 's', meaning: 'total running time of the engine' },

  { name: 'rpm', type: 'number', unit: '1/min', meaning: 'engine speed' },
  { name: 'obd_speed_kmh', type: 'number', unit: 'km/h', meaning: "speed from the vehicle's own bus" },
  { name: 'throttle_pct', type: 'number', unit: '%', meaning: 'throttle position' },
  { name: 'engine_load_pct', type: 'number', unit: '%', meaning: 'engine load' },
  { name: 'coolant_c', type: 'number', unit: '°C', meaning: 'engine coolant' },
  { name: 'intake_c', type: 'number', unit: '°C', meaning: 'intake air' },
  { name: 'oil_c', type: 'number', unit: '°C', meaning: 'engine oil' },
  { name: 'fuel_pct', type: 'number', unit: '%', meaning: 'fuel in the tank, 0 to 100' },
  { name: 'fuel_l', type: 'number', unit: 'l', meaning: 'fuel in the tank' },
  { name: 'fuel_used_l', type: 'number', unit: 'l', meaning: 'fuel burnt in total' },
  { name: 'fuel_rate_lph', type: 'number', unit: 'l/h', meaning: 'fuel being burnt' },
  { name: 'axle_weight_kg_<n>', type: 'number', unit: 'kg', meaning: 'load on an axle' },

  { name: 'temperature_c_<n>', type: 'number', unit: '°C', meaning: 'wired temperature sensor' },
  { name: 'humidity_pct_<n>', type: 'number', unit: '%', meaning: 'wired humidity sensor' },
  { name: 'input_<n>', type: 'boolean', unit: '', meaning: 'digital input is on' },
  { name: 'output_<n>', type: 'boolean', unit: '', meaning: 'digital output is on' },
  { name: 'inputs', type: 'number', unit: '', meaning: 'digital inputs as a raw bit field' },
  { name: 'outputs', type: 'number', unit: '', meaning: 'digital outputs as a raw bit field' },
  { name: 'analog_v_<n>', type: 'number', unit: 'V', meaning: 'analog input' },
  { name: 'acceleration_x_g', type: 'number', unit: 'g', meaning: 'acceleration along x' },
  { name: 'acceleration_y_g', type: 'number', unit: 'g', meaning: 'acceleration along y' },
  { name: 'acceleration_z_g', type: 'number', unit: 'g', meaning: 'acceleration along z' },

  { name: 'driver_id', type: 'text', unit: '', meaning: 'iButton, RFID, card or entered code of the driver' },
  { name: 'driver_name', type: 'text', unit: '', meaning: 'name on the card of the driver' },
  { name: 'plate', type: 'text', unit: '', meaning: 'number plate that the device was given' },
  { name: 'terminal_id', type: 'text', unit: '', meaning: "the maker's number of the device, which is not its identity" },
  { name: 'driver_<n>_id', type: 'text', unit: '', meaning: 'card of one of several drivers' },
  { name: 'vin', type: 'text', unit: '', meaning: 'vehicle identification number' },
  { name: 'iccid', type: 'text', unit: '', meaning: 'number of the SIM card' },
  { name: 'imsi', type: 'text', unit: '', meaning: 'subscriber identity on the SIM' },
  { name: 'imei', type: 'text', unit: '', meaning: 'identity of the modem' },
  { name: 'phone', type: 'text', unit: '', meaning: 'telephone number of the device' },
  { name: 'model', type: 'text', unit: '', meaning: 'model as the device names itself' },
  { name: 'firmware', type: 'text', unit: '', meaning: 'firmware version' },
  { name: 'hardware', type: 'text', unit: '', meaning: 'hardware version' },
  { name: 'dtc', type: 'text', unit: '', meaning: 'diagnostic trouble codes, comma separated' },

  { name: 'sleep_mode', type: 'number', unit: '', meaning: 'sleep mode as the device reports it' },

  { name: 'steps', type: 'number', unit: '', meaning: 'steps counted' },
  { name: 'heart_rate_bpm', type: 'number', unit: '1/min', meaning: 'heart rate' },
  { name: 'body_temperature_c', type: 'number', unit: '°C', meaning: 'temperature of the wearer' },

  { name: 'beacon_<n>_id', type: 'text', unit: '', meaning: 'identity that a Bluetooth beacon sends: iBeacon or Eddystone' },
  { name: 'beacon_<n>_rssi_dbm', type: 'number', unit: 'dBm', meaning: 'signal of a beacon' },
  { name: 'beacon_<n>_battery_v', type: 'number', unit: 'V', meaning: 'battery of a beacon' },
  { name: 'tag_<n>_id', type: 'text', unit: '', meaning: 'address or identity of a Bluetooth sensor' },
  { name: 'tag_<n>_name', type: 'text', unit: '', meaning: 'name that a Bluetooth sensor sends' },
  { name: 'tag_<n>_rssi_dbm', type: 'number', unit: 'dBm', meaning: 'signal of a Bluetooth sensor' },
  { name: 'tag_<n>_battery_v', type: 'number', unit: 'V', meaning: 'battery of a Bluetooth sensor' },
  { name: 'tag_<n>_battery_pct', type: 'number', unit: '%', meaning: 'battery level of a Bluetooth sensor' },
  { name: 'tag_<n>_low_battery', type: 'boolean', unit: '', meaning: 'a Bluetooth sensor says its battery is low' },
  { name: 'tag_<n>_temperature_c', type: 'number', unit: '°C', meaning: 'temperature from a Bluetooth sensor' },
  { name: 'tag_<n>_humidity_pct', type: 'number', unit: '%', meaning: 'relative humidity from a Bluetooth sensor' },
  { name: 'tag_<n>_magnet', type: 'boolean', unit: '', meaning: 'a Bluetooth sensor is near its magnet' },
  { name: 'tag_<n>_motion', type: 'boolean', unit: '', meaning: 'a Bluetooth sensor is moving' },
  { name: 'tag_<n>_movements', type: 'number', unit: '', meaning: 'movements a Bluetooth sensor has counted' },
  { name: 'tag_<n>_pitch_deg', type: 'number', unit: '°', meaning: 'pitch of a Bluetooth sensor' },
  { name: 'tag_<n>_roll_deg', type: 'number', unit: '°', meaning: 'roll of a Bluetooth sensor' },
  { name: 'tag_<n>_proximity', type: 'text', unit: '', meaning: 'near, away, far_away or lost, as the device sorts its Bluetooth sensors' },

  { name: 'lock_<n>_id', type: 'text', unit: '', meaning: 'number of an electronic lock' },
  { name: 'lock_<n>_battery_v', type: 'number', unit: 'V', meaning: 'battery of an electronic lock' },
  { name: 'lock_<n>_battery_pct', type: 'number', unit: '%', meaning: 'battery level of an electronic lock' },
  { name: 'lock_<n>_sealed', type: 'boolean', unit: '', meaning: 'an electronic lock is sealed' },
  { name: 'lock_<n>_locked', type: 'boolean', unit: '', meaning: 'an electronic lock is locked' },
  { name: 'lock_<n>_card', type: 'text', unit: '', meaning: 'card that was held to an electronic lock last' },
  { name: 'tyre_<n>_pressure_bar', type: 'number', unit: 'bar', meaning: 'pressure of the tyre at this position' },
  { name: 'tyre_<n>_temperature_c', type: 'number', unit: '°C', meaning: 'temperature of the tyre at this position' },

  { name: 'tag_<n>_data', type: 'text', unit: '', meaning: 'what a Bluetooth sensor sends, as it came, hexadecimal' },

  { name: 'geofence', type: 'text', unit: '', meaning: 'number or name of the zone that the event is about' },
  { name: 'reply', type: 'text', unit: '', meaning: 'text of a command reply, or of a text message' },
  { name: 'transport', type: 'text', unit: '', meaning: '`sms`: the record came as a text message, whose sender may be forged' },
  { name: 'event_code', type: 'number', unit: '', meaning: 'the raw number behind `event`' },
  { name: 'status_bits', type: 'number', unit: '', meaning: 'the raw status word' },
  { name: 'load_level', type: 'number', unit: '', meaning: 'load of a lorry: 0 empty, 1 half, 3 full' },
  { name: 'gnss_systems', type: 'number', unit: '', meaning: 'satellite systems in use: bit 0 GPS, 1 BeiDou, 2 GLONASS, 3 Galileo' },
  { name: 'illuminance', type: 'number', unit: '', meaning: 'light, in the unit of the maker' },
  { name: 'air_pressure', type: 'number', unit: '', meaning: 'air pressure, in the unit of the maker' },
  { name: 'priority', type: 'number', unit: '', meaning: '0 low, 1 high, 2 panic' },
  { name: 'alarm_language', type: 'text', unit: '', meaning: 'language that the device wants its alarm address in' },
  { name: 'upload_mode', type: 'number', unit: '', meaning: 'what made the device report, in the numbers of the maker' },
  { name: 'external_data', type: 'text', unit: '', meaning: "what another device said on the tracker's serial line" },
  { name: 'fuel_consumption', type: 'number', unit: '', meaning: 'fuel being burnt, in the unit of the maker' },
  { name: 'alarm_bits', type: 'number', unit: '', meaning: 'the raw alarm word' },
  { name: 'time_zone', type: 'text', unit: '', meaning: "offset of the device's clock from UTC, as it says: +08:00" },
  { name: 'alarm_label', type: 'text', unit: '', meaning: 'label under which the pictures of an alarm are kept, hexadecimal' },
  { name: 'adas_alarm', type: 'number', unit: '', meaning: 'kind of an alarm of driver assistance: forward collision, lane departure, …' },
  { name: 'dms_alarm', type: 'number', unit: '', meaning: 'kind of an alarm of driver monitoring: fatigue, telephone, smoking, …' },
  { name: 'video_alarm_bits', type: 'number', unit: '', meaning: 'the raw alarm word of a video recorder' },
  { name: 'image_bytes', type: 'number', unit: 'bytes', meaning: 'size of a picture received' },
];
