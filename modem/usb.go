package modem

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/port"
)

// USBResetPolicy is what may be done to the USB device of a modem that nothing
// else brings back. All lines of the device, as of an adapter with several
// ports, are hit by it.
type USBResetPolicy string

// Policies.
const (
	USBResetOff       USBResetPolicy = "off"
	USBResetAuthorize USBResetPolicy = "authorize" // the system lets go of it and takes it anew
	USBResetPower     USBResetPolicy = "power"     // the hub's port
)

// usbOff is how long a USB device is off: its capacitors must run empty.
const usbOff = 3 * time.Second

// resetUSB switches the modem's USB device off and on, as policy allows, and
// waits until it is there again.
func (o *owner) resetUSB() error {
	if o.switcher == nil || o.config.USBReset == USBResetOff {
		return port.ErrUnsupported
	}
	use, err := o.switcher.Switch(o.config.USBReset == USBResetPower)
	if err != nil {
		return o.noUSBReset(err)
	}
	o.closePort()
	if err := use(false); err != nil {
		return o.noUSBReset(err)
	}
	o.log.Warn("USB device is switched off and on", zap.String("by", string(o.config.USBReset)))
	err = o.pause(usbOff)
	if err := errors.Join(err, use(true)); err != nil { // on in any case
		return err
	}
	if err := o.pause(reopenPause); err != nil {
		return err
	}
	return o.openWait()
}

// noUSBReset says that it cannot be done: the modem has to do without.
func (o *owner) noUSBReset(err error) error {
	o.log.Warn("USB device cannot be switched off and on", zap.Error(err))
	return port.ErrUnsupported
}
