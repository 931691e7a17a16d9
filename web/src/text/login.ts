// SPDX-License-Identifier: Apache-2.0
export const loginText = {
  title: 'Sign in to jobmill',
  user: 'User',
  password: 'Password',
  signIn: 'Sign in',
  sso: 'Sign in with single sign-on',
  wrong: 'User or password is wrong.',
  tooMany: 'Too many attempts from this address. Wait a minute and try again.',
};
