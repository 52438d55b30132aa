# Who comes and goes: each event once, in order, with the time at which it happened; and the sweep that finds who fell silent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use List::Util qw(shuffle sum0);
use Test::More;

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my $sites = 0;

# A site of which every name lies in the same part, so that the order of all its events can be told.
my $shards;
sub site {
    $script->call('FLUSHDB');
    $_->{number} = $_->{applied} = 0 for $script;
    return { site => 'events-' . ++$sites, shards => $shards, @_ };
}
sub events { my ($site, $zero) = @_; return [ $script->events($site, $zero) ] }
# Without those of users, and only those of users: with several parts they lie elsewhere.
sub of_sessions { return [ grep { !/^user/ } @{ events(@_) } ] }
sub of_users { return [ grep {/^user/} @{ events(@_) } ] }

# A run that goes on: only its end is fresh.
sub more { my ($id, $from, $to, %o) = @_; return entry($id, $from, $to, fresh => $to, %o) }
# A lone sign.
sub sign { my ($id, $at, %o) = @_; return entry($id, $at, $at, %o) }
# Everything until then is known of all hosts.
sub settle { my ($at) = @_; return $script->sweep(slack => $script->now - $at, budget => 1000) }

for (1, 7) {
    $shards = $_;
    my $t = $script->now - 50_000;    # all are online, if the sweep may look

    subtest "coming and going, $shards parts" => sub {
        my $site = site();
        my $then = $t - 100_000;
        $script->add($site, entry('a', $then, $then, user => 'alice'));
        $script->add($site, more('a', $then, $then + $_ * 1000)) for 1 .. 5;
        is_deeply(of_sessions($site, $then), ['online a alice 0'], 'online once');
        is_deeply(of_users($site, $then), ['user-online alice 0'], 'so is the user');
        is_deeply($script->sweep, [ 1, '' ], 'silent for longer than the timeout');
        is_deeply(of_sessions($site, $then), [ 'online a alice 0', 'offline a alice 95000' ], 'offline at the deadline, not when it was noticed');
        is_deeply(of_users($site, $then), [ 'user-online alice 0', 'user-offline alice 95000' ], 'and the user');
        is_deeply($script->sweep, [ 0, '' ], 'nobody else') for 1 .. 2;
        is($script->sessions_of($site, 'alice'), undef, 'no live session of alice');
        my $s = $script->session($site, 'a');
        ok(!exists $s->{due} && !exists $s->{pending} && !exists $s->{odd} && $s->{last} == $then + 5000, 'the session keeps all but its deadline');
        is_deeply($script->members($site, 'online'), {}, 'nobody is online');
        is_deeply($script->members($site, 'seen'), { a => $then + 5000 }, 'seen stays');
        is($script->call('EXISTS', 'hb:sites'), 0, 'the site is swept no more');
        $script->add($site, entry('a', $t, $t));
        is_deeply(of_sessions($site, $then)->[2], 'online a alice 100000', 'back again');
        is_deeply(of_users($site, $then)->[2], 'user-online alice 100000', 'as the same user');
        is($script->call('HGET', 'hb:sites', "$shards $site->{site}"), 7 * DAY, 'the site is swept again');
    };

    subtest "silent, then back, $shards parts" => sub {
        my $then = $t - 160_000;
        for my $swept (0, 1) {
            my $site = site();
            $script->add($site, entry('a', $then, $then + 1000, user => 'u'));
            $script->sweep if $swept;
            $script->add($site, entry('a', $then + 200_000, $then + 201_000));
            is_deeply(of_sessions($site, $then), ['online a u 0'], 'another host may know of a sign in between: nothing is told yet') if !$swept;
            is($script->session($site, 'a')->{due}, $then + 291_000, 'but it is here');
            $script->sweep for 1 .. 2;
            is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 91000', 'online a u 200000' ], "whether it was swept in between ($swept) or not");
            is_deeply(of_users($site, $then), [ 'user-online u 0', 'user-offline u 91000', 'user-online u 200000' ], 'the user too');
            is($script->sessions_of($site, 'u'), 1, 'one session');
            is_deeply($script->members($site, 'online'), { a => $then + 291_000 }, 'to be looked at again');
            is_deeply([ @{ $script->session($site, 'a') }{qw(due pending odd)} ], [ $then + 291_000, undef, undef ], 'nothing is left aside');
            is_deeply($script->members($site, 'undecided'), {}, 'nor to be judged');
        }
        my $site = site();
        $then = $t - 270_000;
        $script->add($site, entry('a', $then, $then + 1000, user => 'u'), entry('a', $then + 91_001, $then + 92_000), sign('a', $then + 300_000));
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 91000', 'online a u 91001', 'offline a u 182000', 'online a u 300000' ], 'three runs of one batch');
        is_deeply($script->members($site, 'online'), { a => $then + 390_000 }, 'the last one counts');
        for my $gap (89_999, 90_000) {
            $site = site();
            $script->add($site, sign('a', $then));
            $script->add($site, more('a', $then, $then + $gap), more('a', $then, $then + 2 * $gap));
            $script->add($site, sign('a', $then + 300_000 - 30_000));
            $script->sweep;
            is_deeply(of_sessions($site, $then), [ 'online a 0', $gap < 90_000 ? ('offline a 269998', 'online a 270000') : map { ("offline a ${_}0000", "online a ${_}0000") } 9, 18, 27 ],
                "at the deadline it is silent, not a millisecond before ($gap)");
        }
        $site = site();
        $script->add($site, sign('a', $then));
        $script->sweep;
        $script->add($site, more('a', $then, $then + 89_000));
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'offline a 90000', 'online a 89000' ], 'a sign that came too late for the sweep brings it back');
        $site = site();
        $script->add($site, sign('a', $then));
        $script->add($site, sign('a', $then + 100_000));
        $script->other('late')->add($site, sign('a', $then + 50_000));
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'offline a 190000' ], 'a sign in between that is told later: it was never silent');
    };

    subtest "many at once, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, entry('a', $then, $then + 2000, user => 'u', bits => LEFT), entry('b', $then, $then + 3000, user => 'u'));
        $script->add($site, more('a', $then, $then + 6000));
        $script->add($site, sign('a', $then + 200_000));
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'online b u 0', 'offline b u 93000', 'offline a u 96000', 'online a u 200000', 'offline a u 290000' ],
            'a sweep that comes late tells everything in the order of time');
        $site = site();
        $script->add($site, entry('a', $then, $then + 1000, user => 'u'), entry('b', $then, $then + 60_000, user => 'u'));
        $script->add($site, sign('a', $then + 200_000));
        $script->sweep;
        is_deeply(of_users($site, $then), [ map { ("user-online u $_->[0]", "user-offline u $_->[1]") } [ 0, 150_000 ], [ 200_000, 290_000 ] ],
            'and a user whose sessions all went before the first came back was away');
    };

    subtest "leaving, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, sign('a', $then, user => 'u'));
        $script->add($site, more('a', $then, $then + 2000, bits => LEFT));
        is($script->session($site, 'a')->{due}, $then + 7000, 'until the grace is over');
        is_deeply($script->members($site, 'undecided'), { a => $then + 7000 }, 'it is judged then');
        settle($then + 6800);
        is_deeply(of_sessions($site, $then), ['online a u 0'], 'not before');
        settle($then + 7000);
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'leave a u 2000', 'offline a u 7000' ], 'left, and offline');
        is_deeply([ @{ $script->session($site, 'a') }{qw(pending due odd)} ], [ undef, undef, undef ], 'that is over');
        is_deeply([ map { $script->members($site, $_) } qw(online undecided) ], [ {}, {} ], 'altogether');
        $site = site();
        $script->add($site, sign('a', $then, user => 'u'));
        $script->add($site, more('a', $then, $then + 2000, bits => LEFT));
        $script->add($site, more('a', $then, $then + 6000));
        is($script->session($site, 'a')->{due}, $then + 96_000, 'the next page came within the grace');
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 96000' ], 'so nobody left');
        is($script->session($site, 'a')->{pending}, undef, 'and that is over');
        $site = site();
        $script->add($site, entry('a', $then, $then + 2000, bits => LEFT));
        $script->add($site, sign('a', $then + 200_000));
        is_deeply(of_sessions($site, $then), ['online a 0'], 'a session whose first batch says goodbye was here');
        settle($then + 200_000);
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 2000', 'offline a 7000', 'online a 200000' ], 'back after a leave that was not swept');
        $site = site();
        $script->add($site, entry('a', $then - 600_000, $then + 2000, fresh => $then, bits => LEFT));
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 2000', 'offline a 7000' ], 'one that Redis lost, back with a goodbye');
        $site = site(grace => 3_600_000);
        $script->add($site, sign('a', $then, bits => LEFT));
        is($script->session($site, 'a')->{due}, $then + 90_000, 'the grace is no longer than the timeout');
        $site = site();
        $script->add($site, sign('a', $then));
        $script->add($site, sign('a', $then, bits => LEFT));
        $script->sweep;
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 0', 'offline a 5000' ], 'a leave in the millisecond of the last sign');
        $script->add($site, sign('a', $then, bits => LEFT));
        $script->sweep;
        is(scalar @{ of_sessions($site, $then) }, 3, 'once');
        $site = site(grace => 0);
        $script->add($site, sign('a', $then));
        $script->add($site, more('a', $then, $then + 2000, bits => LEFT));
        $script->add($site, more('a', $then, $then + 2000));
        settle($then + 2000);
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 2000', 'offline a 2000' ], 'without a grace at once');
    };

    # A goodbye and what comes after it may go to two hosts, of which either may be the first to tell.
    subtest "leaving, told by two hosts, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my @orders = ([ 0, 1, 2 ], [ 0, 2, 1 ], [ 1, 0, 2 ], [ 1, 2, 0 ], [ 2, 0, 1 ], [ 2, 1, 0 ]);
        for my $swept (0, 1) {
            for my $order (@orders) {
                my $site = site();
                my @hosts = map { $script->other("host$_") } 0, 1;
                $hosts[0]->add($site, sign('a', $then, user => 'u'));
                my @told = ([ 0, more('a', $then, $then + 1000) ], [ 0, more('a', $then, $then + 2000, bits => LEFT) ], [ 1, sign('a', $then + 6000) ]);
                for (@told[@$order]) {
                    $hosts[ $_->[0] ]->add($site, $_->[1]);
                    settle($then + 800) if $swept;
                }
                is_deeply(of_sessions($site, $then), ['online a u 0'], "@$order: nothing is told before all hosts did");
                settle($then + 7000);
                is_deeply([ @{ of_sessions($site, $then) }, $script->session($site, 'a')->{due} ], [ 'online a u 0', $then + 96_000 ], 'back within the grace: nobody left');
                $script->sweep;
                is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 96000' ], 'silent long after');
                is_deeply(of_users($site, $then), [ 'user-online u 0', 'user-offline u 96000' ], 'so is the user');
            }
        }
        my $site = site();
        my $late = $script->other('late');
        $script->add($site, sign('a', $then));
        $script->add($site, more('a', $then, $then + 2000, bits => LEFT));
        $late->add($site, sign('a', $then + 8000));
        $late->add($site, sign('a', $then + 500));
        settle($then + 8000);
        is_deeply(of_sessions($site, $then), [ 'online a 0', 'leave a 2000', 'offline a 7000', 'online a 8000' ], 'back after the grace: left, and here again');
        $site = site();
        $script->add($site, sign('a', $then));
        $script->add($site, more('a', $then, $then + 2000, bits => LEFT));
        settle($then + 3000);
        $late->add($site, sign('a', $then + 4000));
        settle($then + 7000);
        is_deeply([ of_sessions($site, $then), $script->session($site, 'a')->{pending} ], [ ['online a 0'], undef ], 'a goodbye that was looked at can still be taken back');
        $site = site();
        $script->add($site, sign('a', $then + 5000));
        $script->add($site, sign('a', $then + 100_000));
        is($script->session($site, 'a')->{pending}, sprintf('%d:%d %d-%d-90000', $then + 95_000, $then + 5000, $then + 100_000, $then + 100_000), 'what was known before is put aside too');
        $late->add($site, sign('a', $then + 3000, bits => LEFT));
        settle($then + 100_000);
        is_deeply(of_sessions($site, $then), [ 'online a 5000', 'offline a 95000', 'online a 100000' ], 'a goodbye of before the last sign is none');
    };

    subtest "after an outage, in any order, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my @signs = (entry('a', $then + 200_000, $then + 201_000), entry('a', $then + 201_500, $then + 205_000), entry('a', $then + 300_000, $then + 310_000),
            more('a', $then + 300_000, $then + 320_000), sign('a', $then + 450_000), more('a', $then + 450_000, $then + 451_000, bits => LEFT), sign('a', $then + 600_000));
        for my $calm (0, 1) {
            for my $round (1 .. 20) {
                my $site = site();
                my @hosts = map { $script->other("host$_", calm => $calm) } 1 .. 3;
                $script->add($site, sign('a', $then, user => 'u'));
                my @some = $round == 1 ? @signs : $round == 2 ? reverse @signs : shuffle @signs;
                if ($round % 2) { $hosts[ rand 3 ]->add($site, $_) for @some }
                else { $hosts[0]->add($site, sort { $a->{to} <=> $b->{to} } @some) }
                is_deeply(of_sessions($site, $then), ['online a u 0'], 'told at once, nothing is decided');
                $script->sweep(budget => 1) for 1 .. 3;
                is_deeply(of_sessions($site, $then), [ 'online a u 0', 'offline a u 90000', 'online a u 200000', 'offline a u 295000', 'online a u 300000', 'offline a u 410000',
                    'online a u 450000', 'leave a u 451000', 'offline a u 456000', 'online a u 600000', 'offline a u 690000' ], 'every time it came and went')
                    or diag explain [ map { $_->{from} - $then } @some ];
                is($script->sessions_of($site, 'u'), undef, 'and the user went');
            }
        }
    };

    # While hosts may still be sending what they kept, nobody knows which sign was the first.
    subtest "arrivals after an outage, $shards parts" => sub {
        my $then = $t - 40_000;
        for my $calm (0, 1) {
            my $site = site();
            my ($one, $two) = map { $script->other($_, calm => $calm) } qw(one two);
            $one->add($site, sign('a', $then + 5000, user => 'u'));
            is_deeply(of_sessions($site, $then), $calm ? ['online a u 5000'] : [], $calm ? 'calm: at once' : 'not calm: not yet');
            my $s = $script->session($site, 'a');
            is_deeply([ @$s{qw(pending due odd)} ], $calm ? [ undef, $then + 95_000, undef ] : [ sprintf('0:0 %d-%d-90000', ($then + 5000) x 2), undef, undef ], 'put aside, or here');
            is_deeply([ $script->members($site, 'online'), $script->members($site, 'undecided') ], $calm ? [ { a => $then + 95_000 }, {} ] : [ {}, { a => $then + 5000 } ], 'when to look');
            is($script->sessions_of($site, 'u'), $calm || undef, 'the user');
            is($script->call('HGET', 'hb:sites', "$shards $site->{site}"), 7 * DAY, 'the sweep will come');
            $two->add($site, entry('a', $then + 2000, $then + 3000));
            settle($then + 4800);
            is_deeply(of_sessions($site, $then), $calm ? ['online a u 5000'] : [], 'still') ;
            $script->sweep;
            is_deeply(of_sessions($site, $then), [ 'online a u ' . ($calm ? 5000 : 2000) ], 'the true first sign') ;
            is_deeply(of_users($site, $then), [ 'user-online u ' . ($calm ? 5000 : 2000) ], 'also of the user');
            is_deeply([ @{ $script->session($site, 'a') }{qw(pending due first odd)} ], [ undef, $then + 95_000, $then + 2000, undef ], 'here');
            is_deeply([ $script->members($site, 'online'), $script->members($site, 'undecided') ], [ { a => $then + 95_000 }, {} ], 'as if nothing had been');
            is($script->sessions_of($site, 'u'), 1, 'counted once');
        }
        my $site = site();
        my $host = $script->other('back', calm => 0);
        $script->add($site, sign('a', $then - 500_000));
        $script->sweep;
        $host->add($site, sign('a', $then));
        is($script->session($site, 'a')->{pending}, sprintf('0:%d %d-%d-90000', $then - 500_000, $then, $then), 'one that was here before');
        is_deeply(of_sessions($site, $then), [ 'online a -500000', 'offline a -410000' ], 'is not yet back');
        $script->sweep;
        is(of_sessions($site, $then)->[2], 'online a 0', 'now it is');
    };

    subtest "users, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, entry('a', $then, $then, user => 'u'), entry('b', $then, $then + 10, user => 'u'));
        $script->other('second')->add($site, entry('c', $then, $then + 20_000, user => 'u'));
        is($script->sessions_of($site, 'u'), 3, 'three sessions');
        is_deeply(of_users($site, $then), ['user-online u 0'], 'one user');
        $script->sweep;
        is_deeply(of_users($site, $then), [ 'user-online u 0', 'user-offline u 110000' ], 'offline with the last one');
        is(scalar @{ of_sessions($site, $then) }, 6, 'each session for itself');

        $site = site();
        $script->add($site, entry('a', $then, $then, user => 'u'));
        $script->call('DEL', tag($site->{site}, $shards, 'u') . 'user');
        is_deeply($script->sweep, [ 1, '' ], 'a user whose count was lost');
        is_deeply(of_users($site, $then), ['user-online u 0'], 'goes without a word');
        is($script->sessions_of($site, 'u'), undef, 'and counts less than nobody no longer');

        $site = site();
        $script->add($site, entry('a', $then, $then));
        $script->add($site, entry('a', $then, $then + 1000), entry('a', $then + 2000, $then + 2000, user => 'u'));
        $script->add($site, entry('a', $then + 2000, $then + 5000), entry('a', $then + 6000, $then + 6000, user => 'v'));
        is_deeply(of_sessions($site, $then), ['online a 0'], 'a session that gets a user, and another one, stays online');
        is_deeply([ sort @{ of_users($site, $then) } ], [ sort 'user-online u 2000', 'user-offline u 6000', 'user-online v 6000' ], 'the users come and go');
        $script->sweep;
        is_deeply([ $script->sessions_of($site, 'u'), $script->sessions_of($site, 'v') ], [ undef, undef ], 'nobody is left');
        is(scalar(grep {/user-offline v 96000/} @{ of_users($site, $then) }), 1, 'v went');
    };

    # What an earlier sign says, told by a host that was slow, must not count a user twice or not at all.
    subtest "users told late, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $site = site();
        $script->add($site, entry('a', $then + 5000, $then + 5000));
        $script->other('late')->add($site, entry('a', $then, $then, user => 'u', page => '/late'));
        is_deeply([ $script->sessions_of($site, 'u'), @{ $script->session($site, 'a') }{qw(user page)} ], [ 1, 'u', '/late' ], 'a name where there was none');
        $script->sweep;
        is_deeply([ map {/^(\S+ \S+)/} @{ of_users($site, $then) } ], [ 'user-online u', 'user-offline u' ], 'comes and goes');

        $site = site();
        $script->add($site, entry('a', $then + 5000, $then + 5000, user => 'new', page => '/new'));
        $script->other('late2')->add($site, entry('a', $then, $then + 1000, user => 'old', page => '/old'));
        is_deeply([ @{ $script->session($site, 'a') }{qw(user page source last)} ], [ 'new', '/new', 'ping', $then + 5000 ], 'the later name stays');
        is_deeply([ $script->sessions_of($site, 'new'), $script->sessions_of($site, 'old') ], [ 1, undef ], 'and counts');
        is($script->user($site, 'old')->{open_to}, $then + 1000, 'the time of the other one is his');
        $script->sweep;
        is_deeply([ $script->sessions_of($site, 'new'), $script->sessions_of($site, 'old') ], [ undef, undef ], 'nobody is left');
        is_deeply(of_users($site, $then), [ 'user-online new 5000', 'user-offline new 95000' ], 'events of one user');

        $site = site();
        $script->add($site, entry('a', $then, $then, user => 'old'));
        $script->add($site, entry('a', $then, $then, user => 'new', page => '/new'));
        is_deeply([ $script->sessions_of($site, 'old'), $script->sessions_of($site, 'new'), @{ $script->session($site, 'a') }{qw(user page)} ], [ undef, 1, 'new', '/new' ], 'within the same millisecond the later batch counts');
        $script->sweep;
        $script->add($site, entry('a', $then, $then, user => 'third'));
        is_deeply([ $script->sessions_of($site, 'new'), $script->sessions_of($site, 'third') ], [ undef, undef ], 'offline is offline');
        is_deeply($script->members($site, 'online'), {}, 'the same sign again brings nobody back');
    };

    # Another name while it is not decided whether the session was silent: each user comes and goes by turns all the same.
    subtest "another user while signs are put aside, $shards parts" => sub {
        my $then = $t - 160_000;
        my %cases = (
            silence => [ sign('a', $then + 200_000, user => 'v'), more('a', $then + 200_000, $then + 201_000, user => 'w') ],
            'silence, a name for nobody' => [ sign('b', $then + 200_000, user => 'v') ],
            leave => [ more('a', $then, $then + 2000, bits => LEFT), sign('a', $then + 4000, user => 'v'), sign('a', $then + 150_000, user => 'w') ],
            'leave, back late' => [ more('a', $then, $then + 2000, bits => LEFT), sign('a', $then + 8000, user => 'v') ],
            'told late' => [ sign('a', $then + 200_000, user => 'v'), sign('a', $then + 50_000), sign('a', $then + 120_000, user => 'w') ],
        );
        for my $calm (0, 1) {
            for my $case (sort keys %cases) {
                my $site = site();
                my $host = $script->other('host', calm => $calm);
                $script->add($site, sign('a', $then, user => 'u'), sign('b', $then));
                $host->add($site, $_) for @{ $cases{$case} };
                for (1 .. 2) {
                    my (%is, @wrong);
                    for (@{ of_users($site, $then) }) {
                        my ($on, $user, $at) = /user-(\w+) (\w) (\S+)/;
                        push @wrong, $_ if ($is{$user} // 'offline') eq $on;
                        $is{$user} = $on;
                    }
                    is_deeply(\@wrong, [], "$case: by turns") or diag explain events($site, $then);
                    my @here = map { my $s = $script->session($site, $_); $s->{due} && $s->{user} ? $s->{user} : () } qw(a b);
                    is_deeply([ sort grep { ($is{$_} // '') eq 'online' } keys %is ], [ sort grep { $script->sessions_of($site, $_) } qw(u v w) ], "$case: who is online is counted");
                    is_deeply([ sort @here ], [ sort grep { $script->sessions_of($site, $_) } qw(u v w) ], "$case: for the sessions that are here") if $_ == 2;
                    is($script->session($site, 'a')->{odd}, undef, "$case: the fields agree");
                    $script->sweep;
                }
            }
        }
    };

    # A user's time of a session is the same, whoever tells of it first: a host that knows no name, or one that does.
    subtest "named later, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my @told = (
            entry('a', $then, $then + 20_000, active_from => $then + 1000, active_to => $then + 15_000),             # knows no name
            entry('a', $then + 5000, $then + 12_000, user => 'u', active_from => $then + 6000, active_to => $then + 7000),
            entry('a', $then, $then + 30_000, active_from => $then + 1000, active_to => $then + 25_000),
            entry('a', $then + 8000, $then + 9000, user => 'u'),
            entry('a', $then - 200_000, $then - 190_000),
        );
        for my $round (1 .. 30) {
            my $site = site();
            my @order = $round == 1 ? @told : $round == 2 ? reverse @told : shuffle @told;
            $script->add($site, $_) for @order;
            my $s = $script->session($site, 'a');
            is_deeply([ @$s{qw(open_ms active_ms user named odd)} ], [ 40_000, 24_000, 'u', $then + 5000, undef ], 'the session has all of it');
            my %days = map { my $kind = $_; my $sum = 0;
                $sum += $_ for map { $script->call('ZSCORE', $_, 'u') // 0 } map { @{ $script->call('KEYS', "${_}$kind:*") } } Heartbeat::Scripts::parts($site); ($kind => $sum) } qw(open active);
            is_deeply(\%days, { open => 25_000, active => 20_000 - 1000 + 1000 }, 'the user all since he was known, and no more')
                or diag explain [ map { [ $_->{from} - $then, $_->{to} - $then, $_->{user} ] } @order ];
        }
    };

    # Hosts that were cut off for a while come back with runs that went on: their users are still there.
    subtest "after an outage, $shards parts" => sub {
        my $site = site();
        my $now = $script->now;
        $script->add($site, sign('a', $now, user => 'u', bits => KEEP), sign('b', $now, user => 'v', bits => KEEP));
        for my $beat (0, 1) {
            for my $user (qw(u v)) {
                my $left = $script->call('PTTL', tag($site->{site}, $shards, $user) . 'user');
                cmp_ok($left, '>=', 90_000 + 3_600_000, "how many sessions $user has is known for an hour after they fell silent");
                cmp_ok($left, '<=', 90_000 + 3_660_000, 'and a minute');
            }
            $script->call('PEXPIRE', tag($site->{site}, $shards, $_) . 'user', 1000) for qw(u v);
            $script->add($site, more('a', $now, $now + 1), more('b', $now, $now + 1));
        }
    };

    subtest "what the sweep takes, $shards parts" => sub {
        my $now = $script->now;
        my $site = site();
        $script->add($site, map { entry("s$_", $now - 90_000 - 2000 + $_ * 100, $now - 90_000 - 2000 + $_ * 100) } 0 .. 19);
        is_deeply($script->sweep(slack => 60_000), [ 0, '' ], 'nobody within the slack');
        my $before = $script->now;
        my $taken = $script->sweep(slack => 1250)->[0];
        my @due = map { my $at = $_; scalar grep { $now - 2000 + $_ * 100 <= $at - 1250 } 0 .. 19 } $before, $script->now;
        ok($taken >= $due[0] && $taken <= $due[1], "those whose deadline was long enough ago: $taken of @due");
        is(scalar keys %{ $script->members($site, 'online') }, 20 - $taken, 'the others stay');
        for my $off (-501, -600, 2000, 10_000) {
            is_deeply($script->sweep(at => $script->now + $off), [ -1, '' ], "not by a host whose clock is off by $off ms, or that waited");
        }
        is(scalar keys %{ $script->members($site, 'online') }, 20 - $taken, 'they are still there');
        cmp_ok($script->sweep(at => $script->now + 400)->[0], '>=', 19 - $taken, 'by one that is nearly right') ;
        $script->sweep;
        is($script->call('EXISTS', 'hb:sites'), 0, 'nobody is left');

        # A sign that came after all: it is looked at anew when the new deadline has passed.
        $site = site();
        $script->add($site, sign('a', $now - 100_000), sign('b', $now - 100_000));
        $script->add($site, more('a', $now - 100_000, $now - 20_000));
        $script->add($site, more('a', $now - 100_000, $now));
        is_deeply($script->members($site, 'online'), { map { $_ => $now - 10_000 } qw(a b) }, 'when to look is not moved by each sign');
        is_deeply($script->sweep, [ 2, '' ], 'both are looked at');
        is_deeply($script->members($site, 'online'), { a => $now + 90_000 }, 'a is still here, and looked at later');
        is_deeply(of_sessions($site, $now), [ 'online a -100000', 'online b -100000', 'offline b -10000' ], 'b went');
        is_deeply($script->sweep, [ 0, '' ], 'nobody else');
    };

    subtest "in portions, $shards parts" => sub {
        my $then = $t - 1_000_000;
        my $first = site();
        my $second = { %$first, site => "second-$sites", shards => 3, retention => 60_000 };
        $script->add($first, map { entry("s$_", $then, $then, user => "u$_") } 1 .. 250);
        $script->add($second, map { entry("s$_", $then, $then) } 1 .. 30);
        my @taken;
        push @taken, $script->sweep(budget => 100)->[0] for 1 .. 3;
        is_deeply(\@taken, [ 100, 100, 80 ], 'as many as are allowed, over all sites');
        is($script->call('EXISTS', 'hb:sites'), 0, 'then the sites are done') or diag explain $script->call('HGETALL', 'hb:sites');
        is(scalar(grep {/^offline/} @{ events($first, $then) }), 250, 'all offline');
        is(scalar(grep {/^user-offline/} @{ events($first, $then) }), 250, 'all users');
        is(scalar(grep {/^offline/} $script->events($second, $then)), 30, 'of the other site too');
    };

    subtest "the stream forgets, $shards parts" => sub {
        my $site = site(retention => 1000);
        for my $round (1 .. 3) {
            my $now = $script->now;
            for my $some (1 .. 8) {
                $script->add($site, map { entry("s$round-$some-$_", $now, $now) } 1 .. 400);
            }
            sleep 0.7 if $round < 3;
        }
        my $count = sum0 map { $script->call('XLEN', "${_}events") } Heartbeat::Scripts::parts($site);
        cmp_ok($count, '<', 7500, "what is older than the retention, but for a few: $count");
        cmp_ok($count, '>=', 3200, 'and nothing newer');
    };

    # Many sessions, users, hosts, batches and sweeps: in the end, what came went, by turns and in order.
    subtest "at random, $shards parts" => sub {
        my $seed = $ENV{HEARTBEAT_SEED} // time ^ $$;
        srand $seed;
        note "HEARTBEAT_SEED=$seed";
        my $site = site();
        my $then = $t - 13_000_000;
        my @hosts = map { $script->other("host$_") } 1 .. 3;
        my (%last, %start);
        my $clock = $then;
        for my $step (1 .. 600) {
            $clock += int rand 20_000;
            my $id = 's' . int rand 12;
            if (defined $last{$id} && $clock - $last{$id} <= 90_000) { $last{$id} = $clock }
            else { $start{$id} = $last{$id} = $clock }
            my $user = rand() < 0.1 ? 'u' . int rand 4 : '';
            $start{$id} = $clock if $user;
            $hosts[ rand 3 ]->add($site, entry($id, $start{$id}, $last{$id}, fresh => $clock, user => $user, bits => rand() < 0.05 ? LEFT : 0));
            $script->sweep(budget => 5) if rand() < 0.1;
        }
        while ($script->sweep(budget => 5)->[0]) { }
        my (%online, %users, %time, @wrong);
        for (@{ events($site, $then) }) {
            my ($event, @rest) = split ' ';
            my $at = pop @rest;
            if ($event =~ /^user-(on|off)line/) { push @wrong, $_ if ($users{ $rest[0] } // 'off') eq $1; $users{ $rest[0] } = $1 }
            elsif ($event eq 'leave') { push @wrong, $_ if ($online{ $rest[0] } // '') ne 'online'; $online{ $rest[0] } = 'left' }
            elsif ($event eq 'online') { push @wrong, $_ if ($online{ $rest[0] } // 'offline') ne 'offline'; $online{ $rest[0] } = 'online' }
            else { push @wrong, $_ if ($online{ $rest[0] } // '') !~ /online|left/; $online{ $rest[0] } = 'offline' }
        }
        is_deeply(\@wrong, [], 'by turns');
        is_deeply([ grep { $_ ne 'offline' } values %online ], [], 'all sessions offline in the end');
        is_deeply([ grep { $_ ne 'off' } values %users ], [], 'all users');
        is_deeply([ map { $script->call('EXISTS', "${_}user", "${_}online", "${_}undecided") } Heartbeat::Scripts::parts($site) ], [ (0) x ($shards == 1 ? 1 : 7) ], 'nothing is left over');
    };
}

# What all hosts together saw, told in any order within some seconds, and swept when all of it was told: the events are
# those of the signs in the order of time.
my $cases = $ENV{HEARTBEAT_CASES} // 200;
subtest "$cases sessions at random, told out of order" => sub {
    my $seed = $ENV{HEARTBEAT_SEED} // time ^ $$;
    srand $seed;
    note "HEARTBEAT_SEED=$seed";
    $shards = 7;
    my $site = site(timeout => 1000, grace => 200);
    my $then = $script->now - 10_000_000;
    my @hosts = map { $script->other("host$_", calm => 0) } 1 .. 4;
    my $delay = 600;
    my (@told, %expected);
    for my $id (map {"s$_"} 1 .. $cases) {
        my $user = rand() < 0.5 ? "u$id" : '';
        my %at = map { int(rand 20_000) => 1 } 1 .. 2 + rand 30;
        my ($due, $left) = (0);
        my $goes = sub { push @{ $expected{$id} }, defined $left ? "leave $left" : (), "offline $due"; $due = 0; undef $left };
        for my $at (sort { $a <=> $b } keys %at) {
            my $bye = rand() < 0.2;
            # A goodbye is told before what comes after it; what was before, or comes after, may be late.
            push @told, [ $at + ($bye ? 0 : int rand $delay), sign($id, $then + $at, user => $user, bits => $bye ? LEFT : 0) ];
            $goes->() if $due && $at >= $due;
            push @{ $expected{$id} }, "online $at" if !$due;
            if ($bye) { ($due, $left) = ($at + 200, $at) }
            else { my $to = $at + 1000; $due = $to if $to > $due; undef $left }
        }
        $goes->();
    }
    @told = sort { $a->[0] <=> $b->[0] } @told;
    my @bad;
    while (@told) {
        my $clock = $told[0][0];
        my @some = splice @told, 0, 1 + int rand 40;
        $clock = $told[0][0] if @told;
        # Some hosts tell one sign at a time, others all in one batch.
        if (rand() < 0.5) { push @bad, grep { "@$_" ne '1  0 ' } map { $hosts[ rand 4 ]->add($site, $_->[1]) } @some }
        else { push @bad, grep { "@$_" ne '1  0 ' } $hosts[0]->add($site, sort { $a->{id} cmp $b->{id} || $a->{to} <=> $b->{to} } map { $_->[1] } @some) }
        settle($then + $clock - $delay - 400) if rand() < 0.5;
    }
    settle($then + 30_000);
    is_deeply(\@bad, [], 'all applied');
    my %got;
    for (@{ of_sessions($site, $then) }) {
        my ($event, $id, @rest) = split ' ';
        push @{ $got{$id} }, "$event $rest[-1]";
    }
    my @wrong = grep { join(',', @{ $got{$_} // [] }) ne join ',', @{ $expected{$_} } } sort keys %expected;
    is(scalar @wrong, 0, 'all came and went as they did') or diag explain { map { $_ => [ $got{$_}, $expected{$_} ] } $wrong[0] };
    is_deeply([ map { $script->members($site, $_) } qw(online undecided) ], [ {}, {} ], 'nobody is left');
    is($script->call('EXISTS', map { "${_}user" } Heartbeat::Scripts::parts($site)), 0, 'nor any user');
};

done_testing;
